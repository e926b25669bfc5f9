//! A text that grows at its end and is looked at in parts: logs, a document.

use std::collections::VecDeque;

use ratatui::crossterm::event::KeyCode;

use super::model::clean;

/// How many lines are kept; those before them are forgotten.
const LINES: usize = 2000;

/// How long a line may be, in bytes; the rest of it is another line.
const LINE: usize = 4096;

#[derive(Debug)]
pub(super) struct Pager {
    pub(super) title: String,
    lines: VecDeque<String>,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// Whether the end is shown as it grows.
    pub(super) follows: bool,
    /// Whether it has grown for the last time.
    pub(super) ended: bool,
    top: usize,
    pub(super) left: u16,
}

impl Pager {
    pub(super) fn new(title: &str, follows: bool) -> Self {
        Self {
            title: clean(title),
            lines: VecDeque::new(),
            begun: Vec::new(),
            follows,
            ended: false,
            top: 0,
            left: 0,
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, whole) = match part {
                [text @ .., b'\n'] => (text, true),
                text => (text, false),
            };
            for piece in text.chunks(LINE) {
                if self.begun.len() + piece.len() > LINE {
                    self.finish_line();
                }
                self.begun.extend_from_slice(piece);
            }
            if whole {
                self.finish_line();
            }
        }
    }

    /// No more will come.
    pub(super) fn end(&mut self) {
        self.ended = true;
        if !self.begun.is_empty() {
            self.finish_line();
        }
    }

    fn finish_line(&mut self) {
        // A terminal in the container ends its lines with both.
        let text = self.begun.strip_suffix(b"\r").unwrap_or(&self.begun);
        let line = clean(&String::from_utf8_lossy(text));
        self.begun.clear();
        if self.lines.len() == LINES {
            self.lines.pop_front();
            self.top = self.top.saturating_sub(1);
        }
        self.lines.push_back(line);
    }

    /// The first line of a page of that height, and the first of the last page.
    fn top_and_last(&self, height: usize) -> (usize, usize) {
        let last = self.lines.len().saturating_sub(height);
        (if self.follows { last } else { self.top.min(last) }, last)
    }

    /// The lines of a page of that height, and which of how many the first is.
    pub(super) fn page(&self, height: usize) -> (impl Iterator<Item = &str>, usize, usize) {
        let (top, _) = self.top_and_last(height);
        (self.lines.range(top..).take(height).map(String::as_str), top, self.lines.len())
    }

    /// What a key does, with `height` lines on the screen.
    pub(super) fn key(&mut self, code: KeyCode, height: usize) {
        let (top, last) = self.top_and_last(height);
        let to = match code {
            KeyCode::Up => top.saturating_sub(1),
            KeyCode::Down => top + 1,
            KeyCode::PageUp => top.saturating_sub(height),
            KeyCode::PageDown | KeyCode::Char(' ') => top + height,
            KeyCode::Home => 0,
            KeyCode::End => last,
            KeyCode::Left => {
                self.left = self.left.saturating_sub(8);
                return;
            }
            KeyCode::Right => {
                self.left = self.left.saturating_add(8).min(4 * 4096);
                return;
            }
            KeyCode::Char('f') => {
                (self.follows, self.top) = (!self.follows, top);
                return;
            }
            _ => return,
        };
        self.top = to.min(last);
        // At the end it is the end that somebody wants to see, as long as there will be more.
        self.follows = to >= last && !self.ended;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pager: &Pager, height: usize) -> String {
        pager.page(height).0.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn lines_come_in_pieces() {
        let mut pager = Pager::new("logs", true);
        pager.take(b"one\ntw");
        assert_eq!(shown(&pager, 9), "one");
        pager.take(b"o\r\n\nfour\x1b[2J");
        pager.end();
        assert_eq!(shown(&pager, 9), "one|two||four\\u001b[2J");
    }

    #[test]
    fn neither_long_lines_nor_many_take_more_memory() {
        let mut pager = Pager::new("logs", true);
        for _ in 0..100 {
            pager.take(&[b'x'; 10_000]);
        }
        assert!(pager.begun.len() <= LINE && pager.lines.iter().all(|line| line.len() <= LINE));
        for number in 0..2 * LINES {
            pager.take(format!("{number}\n").as_bytes());
        }
        assert_eq!((pager.lines.len(), shown(&pager, 1)), (LINES, (2 * LINES - 1).to_string()));
    }

    #[test]
    fn going_up_stops_following_and_the_end_resumes() {
        let mut pager = Pager::new("logs", true);
        pager.take(b"1\n2\n3\n4\n5\n");
        assert_eq!(shown(&pager, 2), "4|5");
        pager.key(KeyCode::Up, 2);
        pager.take(b"6\n");
        assert_eq!(shown(&pager, 2), "3|4");
        pager.key(KeyCode::Home, 2);
        assert_eq!(shown(&pager, 2), "1|2");
        pager.key(KeyCode::End, 2);
        pager.take(b"7\n");
        assert_eq!(shown(&pager, 2), "6|7");
        pager.key(KeyCode::Char('f'), 2);
        pager.take(b"8\n");
        assert_eq!(shown(&pager, 2), "6|7");
    }
}
