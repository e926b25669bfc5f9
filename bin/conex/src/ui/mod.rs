//! The terminal dashboard: one thread that looks at the containers once a second, at the keys in between, and draws.
//!
//! [`model`] knows what is shown and what keys mean, [`view`] draws it, [`actions`] runs verbs as children, and
//! [`terminal`] has the terminal and gives it back.

mod actions;
mod model;
mod pager;
mod terminal;
mod view;

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use conex_engine::stats::{ContainerStats, ContainerUsage, StatsWatch};
use conex_engine::{Engine, ListFilter};
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use self::actions::{Actions, Follower, Program};
use self::model::{Container, Image, Model, Over, Request, Tab, Usage, clean};
use self::pager::Pager;
use self::terminal::{Came, Screen};
use self::view::Theme;
use crate::cli::Context;
use crate::errors::Error;

/// How long is waited for a key before children and signals are looked at.
const KEYS: Duration = Duration::from_millis(250);

/// The same while a child has something to say.
const CHILDREN: Duration = Duration::from_millis(50);

/// Between two looks at the containers.
const LOOKS: Duration = Duration::from_secs(1);

/// Between two looks at the images, which change seldom.
const IMAGES: Duration = Duration::from_secs(5);

/// Lists the images, as rows.
pub(crate) type ListImages<'a> = &'a dyn Fn() -> Result<Vec<ImageRow>, Error>;

/// A name of an image, as it is listed.
pub(crate) struct ImageRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) tag: String,
    pub(crate) created: String,
    /// Bytes.
    pub(crate) size: u64,
}

/// Shows the dashboard until somebody has seen enough.
///
/// # Errors
/// When the terminal cannot be had, or is gone. What is wrong with containers is told on the screen.
pub(crate) fn run(context: &Context, images: ListImages<'_>) -> Result<(), Error> {
    let engine = context.engine()?;
    // An empty NO_COLOR is none (no-color.org).
    let colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let screen = Screen::enter().map_err(failed)?;
    let dashboard = Dashboard {
        model: Model::new(),
        engine: &engine,
        stats: engine.watch_stats(None, false),
        images,
        looked: None,
        looked_at_images: None,
        program: Program::new(context.paths()),
        actions: Actions::default(),
        follower: None,
    };
    dashboard.run(screen, Theme { colors }).map_err(failed)
}

fn failed(source: io::Error) -> Error {
    Error::Refused(format!("cannot use the terminal: {source}"))
}

struct Dashboard<'a> {
    model: Model,
    engine: &'a Engine,
    stats: StatsWatch<'a>,
    images: ListImages<'a>,
    looked: Option<Instant>,
    looked_at_images: Option<Instant>,
    program: Program,
    actions: Actions,
    /// What the text on the screen comes from.
    follower: Option<Follower>,
}

impl Dashboard<'_> {
    fn run(mut self, mut screen: Screen, theme: Theme) -> io::Result<()> {
        if let Err(error) = self.stats.begin() {
            self.model.say(&error.to_string(), true);
        }
        loop {
            self.look();
            self.listen();
            screen.terminal.draw(|frame| view::draw(frame, &mut self.model, theme))?;
            let busy = self.follower.is_some() || self.actions.are_under_way();
            match screen.wait(if busy { CHILDREN } else { KEYS })? {
                Came::Nothing => {}
                Came::Keys if self.take_keys(&mut screen)? => return Ok(()),
                Came::Keys => {}
                Came::End => return Ok(()),
            }
        }
    }

    /// Takes all keys that are there, as when a text is pasted, before the next picture; whether one of them quits.
    fn take_keys(&mut self, screen: &mut Screen) -> io::Result<bool> {
        let mut any = false;
        while event::poll(Duration::ZERO)? {
            any = true;
            let request = match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => self.model.key(key),
                _ => None,
            };
            match request {
                Some(Request::Quit) => return Ok(true),
                Some(request) => self.fulfil(request, screen)?,
                None => {}
            }
        }
        if !any {
            // The rest of a paste that is longer than what crossterm reads at once: it would lie there until the next key.
            screen.drop_keys();
        }
        Ok(false)
    }

    fn fulfil(&mut self, request: Request, screen: &mut Screen) -> io::Result<()> {
        match request {
            Request::Quit => {}
            Request::Act(words, what) => {
                self.model.say(&format!("{what} …"), false);
                if let Err(error) = self.actions.start(&self.program, &words, what) {
                    self.model.say(&error, true);
                }
            }
            Request::Show(words, title) => match Follower::start(&self.program, &words) {
                Ok(follower) => {
                    self.follower = Some(follower);
                    self.model.over = Over::Text(Pager::new(&title, words.iter().any(|word| word == "-f")));
                }
                Err(error) => self.model.say(&format!("{title}: {error}"), true),
            },
            Request::Close => self.follower = None,
            Request::Lend(words) => {
                let mut command = self.program.command(&words);
                match screen.lend(|| command.status())? {
                    Ok(status) => self.model.say(&format!("{}: {status}", words[0]), !status.success()),
                    Err(error) => self.model.say(&format!("{}: {error}", words[0]), true),
                }
                self.looked = None;
            }
        }
        Ok(())
    }

    /// Takes what children have said.
    fn listen(&mut self) {
        if let (Some(follower), Over::Text(pager)) = (&mut self.follower, &mut self.model.over)
            && !follower.read(&mut |bytes| pager.take(bytes))
        {
            pager.end();
            self.follower = None;
        }
        for outcome in self.actions.ended() {
            self.model.say(&outcome.text, outcome.failed);
            // What it has changed is shown at once.
            (self.looked, self.looked_at_images) = (None, None);
            self.look();
        }
    }

    /// Looks at what is due.
    fn look(&mut self) {
        let due = |last: Option<Instant>, period| last.is_none_or(|last| last.elapsed() >= period);
        if due(self.looked, LOOKS) {
            self.looked = Some(Instant::now());
            if let Err(error) = self.look_at_containers() {
                self.model.say(&error.to_string(), true);
            }
        }
        if due(self.looked_at_images, IMAGES)
            && (self.model.tab == Tab::Images || self.looked_at_images.is_none())
        {
            self.looked_at_images = Some(Instant::now());
            match (self.images)() {
                Ok(rows) => self.model.set_images(rows.into_iter().map(image).collect()),
                Err(error) => self.model.say(&error.to_string(), true),
            }
        }
    }

    fn look_at_containers(&mut self) -> conex_engine::Result<()> {
        let mut filter = ListFilter::default();
        filter.all = true;
        let list = self.engine.list(&filter)?;
        let stats = self.stats.look()?;
        let stats: BTreeMap<_, _> = stats.iter().map(|stats| (&stats.id, stats)).collect();
        let containers = list.into_iter().map(|one| {
            let used = stats.get(&one.id);
            Container {
                id: one.id.to_string(),
                name: clean(&one.name),
                image: clean(&one.image),
                state: one.state,
                status: clean(&one.status),
                usage: used.and_then(|stats| usage(stats)),
            }
        });
        self.model.set_containers(containers.collect());
        Ok(())
    }
}

fn usage(stats: &ContainerStats) -> Option<Usage> {
    let usage: &ContainerUsage = stats.usage.as_ref()?;
    Some(Usage {
        cpu: usage.cpu_percent,
        memory: usage.memory,
        limit: usage.memory_limit,
        pids: usage.pids,
        pressure: usage.pressure().map(|pressure| pressure.map(|pressure| pressure.some.avg10)),
    })
}

fn image(row: ImageRow) -> Image {
    let ImageRow { id, name, tag, created, size } = row;
    Image { id, name: clean(&name), tag: clean(&tag), created, size }
}
