//! A systemd service of a container, as text: systemd.unit(5), systemd.service(5).

use std::fmt::Write;

/// One word of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// Means itself.
    Plain(String),
    /// Has specifiers of systemd's in it: `%t/%n.ctr-id`.
    Raw(String),
}

impl Word {
    fn text(&self) -> String {
        match self {
            Self::Plain(text) => quoted(text),
            Self::Raw(text) => text.clone(),
        }
    }
}

/// The words of a command that have no specifiers.
pub(super) fn plain<'w>(words: impl IntoIterator<Item = &'w str>) -> Vec<Word> {
    words.into_iter().map(|word| Word::Plain(word.to_owned())).collect()
}

/// A service.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// `container-web`, without `.service`.
    pub(super) name: String,
    /// Lines for people, without their mark.
    pub(super) header: Vec<String>,
    /// `Description=`, which may have specifiers.
    pub(super) description: String,
    /// `Wants=`, `After=`, `Requires=`
    pub(super) relations: Vec<(&'static str, String)>,
    /// `Environment=`: `NAME=value`.
    pub(super) environment: Vec<String>,
    /// `Restart=`
    pub(super) restart: String,
    /// `RestartSec=`, seconds.
    pub(super) restart_sec: Option<u64>,
    /// `TimeoutStartSec=`, seconds.
    pub(super) start_timeout: Option<u64>,
    /// `TimeoutStopSec=`, seconds.
    pub(super) stop_timeout: u64,
    /// `ExecStartPre=`, `ExecStart=` and so on, in order.
    pub(super) commands: Vec<(&'static str, Vec<Word>)>,
}

impl Unit {
    /// The file.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let out = &mut text;
        // Writing to a text does not fail.
        let _ = self.write(out);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        for line in &self.header {
            writeln!(out, "# {line}")?;
        }
        writeln!(out, "[Unit]")?;
        writeln!(out, "Description={}", self.description)?;
        writeln!(out, "Documentation=man:conex-generate-systemd(1)")?;
        for (key, value) in &self.relations {
            writeln!(out, "{key}={value}")?;
        }
        writeln!(out, "\n[Service]")?;
        writeln!(out, "Type=notify\nNotifyAccess=all")?;
        writeln!(out, "Environment=CONEX_SYSTEMD_UNIT=%n")?;
        for variable in &self.environment {
            writeln!(out, "Environment={}", quoted(variable).replace("$$", "$"))?;
        }
        writeln!(out, "Restart={}", self.restart)?;
        if let Some(seconds) = self.restart_sec {
            writeln!(out, "RestartSec={seconds}")?;
        }
        if let Some(seconds) = self.start_timeout {
            writeln!(out, "TimeoutStartSec={seconds}")?;
        }
        writeln!(out, "TimeoutStopSec={}", self.stop_timeout)?;
        // The supervisor stops the container; what helps it goes after it.
        writeln!(out, "KillMode=mixed")?;
        for (key, words) in &self.commands {
            let words: Vec<_> = words.iter().map(Word::text).collect();
            writeln!(out, "{key}={}", words.join(" "))?;
        }
        writeln!(out, "\n[Install]\nWantedBy=default.target")
    }
}

/// A word that systemd reads back as it is (systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers").
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=:,./@".contains(c);
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '%' => escaped.push_str("%%"),
            '$' => escaped.push_str("$$"),
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            c if c.is_ascii_control() => {
                let _ = write!(escaped, "\\x{:02x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    let is_plain = |c: char| plain(c) || matches!(c, '%' | '$');
    if !text.is_empty() && text.chars().all(is_plain) { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_systemd_reads_them() {
        for (word, text) in [
            ("web", "web"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("100%", "100%%"),
            ("$HOME", "$$HOME"),
            (";", "\";\""),
            ("it's \"so\"\\", r#""it's \"so\"\\""#),
            ("a\nb\tc\u{1b}", r#""a\nb\tc\x1b""#),
            ("-v=/a:/b,ro", "-v=/a:/b,ro"),
        ] {
            assert_eq!(quoted(word), text, "{word:?}");
        }
    }
}
