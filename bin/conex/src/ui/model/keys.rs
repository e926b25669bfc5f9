//! What a key does to the model, and what the loop is to do for it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Model, Over, Request, Tab};

/// How long a filter may be, in characters.
const FILTER: usize = 64;

impl Model {
    /// What a key does.
    pub(in crate::ui) fn key(&mut self, key: KeyEvent) -> Option<Request> {
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
                self.say(&format!("exec {name}: it is {}, not running", one.state), true);
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

    fn go(&mut self, to: impl FnOnce(usize) -> usize) {
        let mut keys = self.keys();
        if let Some(cursor) = self.cursor() {
            let to = to(cursor).min(keys.len() - 1);
            self.selected[self.tab as usize] = Some(keys.swap_remove(to));
        }
    }
}
