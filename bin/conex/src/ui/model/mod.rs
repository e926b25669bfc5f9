//! What the dashboard knows and what a key does to it. Pure: no terminal, no engine, no clock.
//!
//! All text of containers and images comes in through [`clean`], and is fit for a terminal from there on.

mod keys;

use std::collections::{HashMap, HashSet, VecDeque};

use super::pager::Pager;
use crate::output;

/// How many seconds the graphs go back.
const HISTORY: usize = 240;

/// Text that moves nothing on a terminal: no control characters, and none that turn or hide what stands beside them.
pub(super) fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    output::visible(&text.replace('\t', "    "), &[]).replace(turns, "\u{fffd}")
}

/// What a container uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Usage {
    /// Per cent of one processor.
    pub(super) cpu: f64,
    /// Bytes.
    pub(super) memory: u64,
    /// Bytes.
    pub(super) limit: u64,
    pub(super) pids: u64,
    /// Per cent of the last ten seconds in which something waited: for processors, memory, devices.
    pub(super) pressure: [Option<f64>; 3],
}

/// A container of the table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: String,
    /// Docker's word.
    pub(super) state: &'static str,
    /// Docker's phrase, with the health.
    pub(super) status: String,
    /// Of one that runs.
    pub(super) usage: Option<Usage>,
}

/// A name of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) tag: String,
    pub(super) created: String,
    /// Bytes.
    pub(super) size: u64,
}

impl Image {
    /// What a verb is given for it: the name, as an id may have several.
    fn reference(&self) -> String {
        if self.name == "<none>" || self.tag == "<none>" {
            self.id.clone()
        } else {
            format!("{}:{}", self.name, self.tag)
        }
    }
}

/// What the graphs show of one container, oldest first, in hundredths of a per cent and in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) cpu: VecDeque<u64>,
    pub(super) memory: VecDeque<u64>,
    /// The worst of the three.
    pub(super) pressure: VecDeque<u64>,
}

impl History {
    fn add(&mut self, usage: &Usage) {
        let pressure = usage.pressure.iter().flatten().fold(0.0, |worst: f64, one| worst.max(*one));
        let points = [
            (&mut self.cpu, hundredths(usage.cpu)),
            (&mut self.memory, usage.memory),
            (&mut self.pressure, hundredths(pressure)),
        ];
        for (series, point) in points {
            if series.len() == HISTORY {
                series.pop_front();
            }
            series.push_back(point);
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn hundredths(percent: f64) -> u64 {
    (percent * 100.0).clamp(0.0, 1e12) as u64
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Containers,
    Images,
}

/// What the containers are ordered by; what is used most comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    Cpu,
    Memory,
    Pids,
    State,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Name => Self::Cpu,
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Pids,
            Self::Pids => Self::State,
            Self::State => Self::Name,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::State => "state",
        }
    }
}

/// What stands over the tables and takes the keys.
#[derive(Debug)]
pub(super) enum Over {
    Nothing,
    Help,
    /// The words of a verb that waits for a yes, and the question.
    Ask(Vec<String>, String),
    /// The filter is typed.
    Filter,
    Text(Pager),
}

/// What the loop is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Quit,
    /// Runs these words beside the screen; told as the second.
    Act(Vec<String>, String),
    /// Shows what these words print, under the title.
    Show(Vec<String>, String),
    /// Lends the terminal to these words.
    Lend(Vec<String>),
    /// What was shown is no longer.
    Close,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) tab: Tab,
    pub(super) sort: Sort,
    pub(super) filter: String,
    pub(super) over: Over,
    /// What happened last, and whether it went wrong.
    pub(super) status: (String, bool),
    containers: Vec<Container>,
    images: Vec<Image>,
    history: HashMap<String, History>,
    /// By id: tables change under the cursor.
    selected: [Option<String>; 2],
    /// How many lines the text on the screen has, as it was drawn last.
    pub(super) page: usize,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            tab: Tab::Containers,
            sort: Sort::Name,
            filter: String::new(),
            over: Over::Nothing,
            status: (String::new(), false),
            containers: Vec::new(),
            images: Vec::new(),
            history: HashMap::new(),
            selected: [None, None],
            page: 10,
        }
    }

    pub(super) fn say(&mut self, text: &str, failed: bool) {
        self.status = (clean(text), failed);
    }

    /// Takes what was listed and looked at.
    pub(super) fn set_containers(&mut self, containers: Vec<Container>) {
        self.containers = containers;
        let ids: HashSet<&str> = self.containers.iter().map(|one| one.id.as_str()).collect();
        self.history.retain(|id, _| ids.contains(id.as_str()));
        for one in &self.containers {
            if let Some(usage) = &one.usage {
                self.history.entry(one.id.clone()).or_default().add(usage);
            }
        }
    }

    pub(super) fn set_images(&mut self, images: Vec<Image>) {
        self.images = images;
    }

    pub(super) fn history(&self, id: &str) -> Option<&History> {
        self.history.get(id)
    }

    /// The containers to show, in order.
    pub(super) fn containers(&self) -> Vec<&Container> {
        let mut shown: Vec<_> =
            self.containers.iter().filter(|one| self.passes(&[&one.name, &one.image, &one.status])).collect();
        let used = |one: &Container| one.usage.clone().unwrap_or_default();
        shown.sort_by(|a, b| {
            let order = match self.sort {
                Sort::Name => std::cmp::Ordering::Equal,
                Sort::Cpu => used(b).cpu.total_cmp(&used(a).cpu),
                Sort::Memory => used(b).memory.cmp(&used(a).memory),
                Sort::Pids => used(b).pids.cmp(&used(a).pids),
                Sort::State => (b.state == "running").cmp(&(a.state == "running")).then(a.state.cmp(b.state)),
            };
            order.then_with(|| a.name.cmp(&b.name)).then_with(|| a.id.cmp(&b.id))
        });
        shown
    }

    pub(super) fn images(&self) -> Vec<&Image> {
        self.images.iter().filter(|one| self.passes(&[&one.name, &one.tag, &one.id])).collect()
    }

    /// How many there are of each, shown or not.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.containers.len(), self.images.len())
    }

    fn passes(&self, texts: &[&str]) -> bool {
        let wanted = self.filter.to_lowercase();
        texts.iter().any(|text| text.to_lowercase().contains(&wanted))
    }

    /// The row under the cursor.
    pub(super) fn cursor(&self) -> Option<usize> {
        let keys = self.keys();
        if keys.is_empty() {
            return None;
        }
        let selected = self.selected[self.tab as usize].as_ref();
        // One that has gone leaves the cursor at the top.
        Some(selected.and_then(|key| keys.iter().position(|one| one == key)).unwrap_or(0))
    }

    fn keys(&self) -> Vec<String> {
        match self.tab {
            Tab::Containers => self.containers().iter().map(|one| one.id.clone()).collect(),
            Tab::Images => self.images().iter().map(|one| one.reference()).collect(),
        }
    }

    /// The container under the cursor.
    pub(super) fn container(&self) -> Option<&Container> {
        match self.tab {
            Tab::Containers => self.containers().get(self.cursor()?).copied(),
            Tab::Images => None,
        }
    }
}

#[cfg(test)]
mod tests;
