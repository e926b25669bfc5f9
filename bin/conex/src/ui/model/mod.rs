//! What the dashboard knows and what a key does to it. Pure: no terminal, no engine, no clock.
//!
//! All text of containers and images comes in through [`clean`], and is fit for a terminal from there on.

use std::collections::{HashMap, VecDeque};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::pager::Pager;
use crate::output;

/// How many seconds the graphs go back.
const HISTORY: usize = 240;

/// How long a filter may be, in characters.
const FILTER: usize = 64;

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
        self.history.retain(|id, _| self.containers.iter().any(|one| one.id == *id));
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

    fn go(&mut self, to: impl FnOnce(usize) -> usize) {
        let mut keys = self.keys();
        if let Some(cursor) = self.cursor() {
            let to = to(cursor).min(keys.len() - 1);
            self.selected[self.tab as usize] = Some(keys.swap_remove(to));
        }
    }

    /// What a key does.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Request> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Request::Quit);
        }
        match &mut self.over {
            Over::Nothing => self.key_of_tables(key.code),
            Over::Help => {
                self.over = Over::Nothing;
                None
            }
            Over::Ask(words, what) => {
                let act = (key.code == KeyCode::Char('y'))
                    .then(|| Request::Act(std::mem::take(words), std::mem::take(what)));
                self.over = Over::Nothing;
                if act.is_none() {
                    self.say("nothing removed", false);
                }
                act
            }
            Over::Filter => {
                match key.code {
                    KeyCode::Enter => self.over = Over::Nothing,
                    KeyCode::Esc => {
                        self.filter.clear();
                        self.over = Over::Nothing;
                    }
                    KeyCode::Backspace => drop(self.filter.pop()),
                    KeyCode::Char(c) if self.filter.chars().count() < FILTER => self.filter.push(c),
                    _ => {}
                }
                None
            }
            Over::Text(_) if matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) => {
                self.over = Over::Nothing;
                Some(Request::Close)
            }
            Over::Text(pager) => {
                pager.key(key.code, self.page);
                None
            }
        }
    }

    fn key_of_tables(&mut self, code: KeyCode) -> Option<Request> {
        match code {
            KeyCode::Char('q') => return Some(Request::Quit),
            KeyCode::Char('?') => self.over = Over::Help,
            KeyCode::Char('/') => self.over = Over::Filter,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab | KeyCode::BackTab => {
                self.tab = match self.tab {
                    Tab::Containers => Tab::Images,
                    Tab::Images => Tab::Containers,
                }
            }
            KeyCode::Up => self.go(|at| at.saturating_sub(1)),
            KeyCode::Down => self.go(|at| at + 1),
            KeyCode::PageUp => self.go(|at| at.saturating_sub(10)),
            KeyCode::PageDown => self.go(|at| at + 10),
            KeyCode::Home => self.go(|_| 0),
            KeyCode::End => self.go(|_| usize::MAX),
            KeyCode::Char(c) => return self.verb(c),
            _ => {}
        }
        None
    }

    /// The verb of a key, on what is under the cursor.
    fn verb(&mut self, key: char) -> Option<Request> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        if self.tab == Tab::Images {
            let image = (*self.images().get(self.cursor()?)?).clone();
            let reference = image.reference();
            match key {
                'i' => {
                    return Some(Request::Show(
                        words(&["image", "inspect", &reference]),
                        format!("inspect {reference}"),
                    ));
                }
                'd' => self.over = Over::Ask(words(&["rmi", &reference]), format!("remove {reference}")),
                _ => {}
            }
            return None;
        }
        let one = self.container()?.clone();
        let (id, name) = (one.id.as_str(), one.name.as_str());
        let act = |verb: &str| Some(Request::Act(words(&[verb, id]), format!("{verb} {name}")));
        match key {
            'l' => Some(Request::Show(words(&["logs", "-f", "-n", "500", id]), format!("logs {name}"))),
            'i' => Some(Request::Show(words(&["inspect", id]), format!("inspect {name}"))),
            'e' if one.state == "running" => Some(Request::Lend(words(&["exec", "-it", id, "sh"]))),
            'e' => {
                self.say(&format!("exec {name}: it is not running"), true);
                None
            }
            't' => act("start"),
            'o' => act("stop"),
            'r' => act("restart"),
            'k' => act("kill"),
            'p' if one.state == "paused" => act("unpause"),
            'p' => act("pause"),
            'd' => {
                // Docker refuses to remove one that runs without being forced; here somebody has been asked.
                self.over = Over::Ask(words(&["rm", "-f", id]), format!("remove {name}"));
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let mut model = Model::new();
        let one = |name: &str, state, cpu, memory| Container {
            id: format!("id-{name}"),
            name: name.to_owned(),
            image: "alpine:3.20".to_owned(),
            state,
            status: "Up".to_owned(),
            usage: Some(Usage { cpu, memory, limit: 100, pids: 1, pressure: [Some(0.5), None, Some(2.0)] }),
        };
        let containers =
            vec![one("b", "running", 1.0, 30), one("a", "paused", 2.0, 20), one("c", "exited", 3.0, 10)];
        model.set_containers(containers);
        model
    }

    fn press(model: &mut Model, code: KeyCode) -> Option<Request> {
        model.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn types(model: &mut Model, text: &str) -> Option<Request> {
        text.chars().map(|c| press(model, KeyCode::Char(c))).last().flatten()
    }

    fn names(model: &Model) -> String {
        model.containers().iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn sorted_by_what_is_used_most() {
        let mut model = model();
        let orders: Vec<_> = (0..6)
            .map(|_| {
                let order = (model.sort.word(), names(&model));
                types(&mut model, "s");
                order
            })
            .collect();
        let expected = [
            ("name", "abc"),
            ("cpu", "cab"),
            ("memory", "bac"),
            ("pids", "abc"),
            ("state", "bca"),
            ("name", "abc"),
        ];
        assert_eq!(orders, expected.map(|(word, order)| (word, order.to_owned())));
    }

    #[test]
    fn the_cursor_stays_on_its_container() {
        let mut model = model();
        press(&mut model, KeyCode::Down);
        assert_eq!(model.container().map(|one| one.name.as_str()), Some("b"));
        types(&mut model, "s");
        assert_eq!(model.container().map(|one| one.name.as_str()), Some("b"));
        assert_eq!(model.cursor(), Some(2));
        press(&mut model, KeyCode::End);
        press(&mut model, KeyCode::Down);
        assert_eq!(model.cursor(), Some(2));
        model.set_containers(Vec::new());
        assert_eq!(
            (model.cursor(), press(&mut model, KeyCode::Up), types(&mut model, "o")),
            (None, None, None)
        );
        assert!(model.history("id-b").is_none());
    }

    #[test]
    fn a_filter_is_typed_kept_and_cleared() {
        let mut model = model();
        // While it is typed, keys are letters.
        assert_eq!(types(&mut model, "/Cq"), None);
        assert_eq!(names(&model), "");
        press(&mut model, KeyCode::Backspace);
        assert_eq!(names(&model), "c");
        press(&mut model, KeyCode::Enter);
        assert_eq!(names(&model), "c");
        press(&mut model, KeyCode::Esc);
        assert_eq!(names(&model), "abc");
    }

    #[test]
    fn verbs_name_containers_by_id() {
        let mut model = model();
        let act = |verb: &str, name: &str| {
            let words = vec![verb.to_owned(), format!("id-{name}")];
            Some(Request::Act(words, format!("{verb} {name}")))
        };
        // The first is paused.
        for (key, verb) in [("t", "start"), ("o", "stop"), ("r", "restart"), ("k", "kill"), ("p", "unpause")]
        {
            assert_eq!(types(&mut model, key), act(verb, "a"), "{key}");
        }
        assert_eq!(types(&mut model, "e"), None);
        assert!(model.status.1);
        press(&mut model, KeyCode::Down);
        assert_eq!(types(&mut model, "p"), act("pause", "b"));
        assert_eq!(
            types(&mut model, "e"),
            Some(Request::Lend(["exec", "-it", "id-b", "sh"].map(String::from).into()))
        );
    }

    #[test]
    fn removing_wants_a_yes() {
        for (answer, removes) in [("y", true), ("n", false), ("d", false), ("q", false)] {
            let mut model = model();
            assert_eq!(types(&mut model, "d"), None);
            let request = types(&mut model, answer);
            assert_eq!(request.is_some(), removes, "{answer}");
            assert!(matches!(model.over, Over::Nothing));
        }
        let mut model = model();
        let request = types(&mut model, "dy");
        assert_eq!(
            request,
            Some(Request::Act(["rm", "-f", "id-a"].map(String::from).into(), "remove a".to_owned()))
        );
    }

    #[test]
    fn images_are_removed_by_the_name_that_is_shown() {
        let mut model = model();
        let image = |name: &str, tag: &str| Image {
            id: "0123456789ab".to_owned(),
            name: name.to_owned(),
            tag: tag.to_owned(),
            ..Image::default()
        };
        model.set_images(vec![image("alpine", "3.20"), image("<none>", "<none>")]);
        press(&mut model, KeyCode::Tab);
        let removed =
            |name: &str| Some(Request::Act(["rmi", name].map(String::from).into(), format!("remove {name}")));
        assert_eq!(types(&mut model, "dy"), removed("alpine:3.20"));
        press(&mut model, KeyCode::Down);
        assert_eq!(types(&mut model, "dy"), removed("0123456789ab"));
        // Verbs of containers do nothing to images.
        assert_eq!(types(&mut model, "o"), None);
    }

    #[test]
    fn q_leaves_a_text_before_the_program() {
        let mut model = model();
        model.over = Over::Text(Pager::new("logs a", true));
        assert_eq!(types(&mut model, "q"), Some(Request::Close));
        assert_eq!(types(&mut model, "q"), Some(Request::Quit));
        types(&mut model, "/");
        assert_eq!(model.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Request::Quit));
    }

    #[test]
    fn graphs_go_back_so_far_and_no_further() {
        let mut model = model();
        for _ in 0..2 * HISTORY {
            let containers = model.containers.clone();
            model.set_containers(containers);
        }
        let history = model.history("id-a").expect("a history");
        assert_eq!((history.cpu.len(), history.cpu[0], history.pressure[0]), (HISTORY, 200, 200));
        assert_eq!(hundredths(f64::NAN), 0);
    }

    #[test]
    fn text_that_would_move_things_is_shown() {
        assert_eq!(clean("a\u{1b}[2J\tb\r\n"), "a\\u001b[2J    b\\u000d\\u000a");
        assert_eq!(clean("a\u{202e}b\u{200b}"), "a\u{fffd}b\u{fffd}");
    }
}
