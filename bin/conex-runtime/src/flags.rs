//! Flags by the rules of Go's `flag` package and of the library that runc puts on top, which callers have come to rely on.
//!
//! One dash or two before any name, long or short; `--name value` and `--name=value`; a switch may have a value with `=`
//! (`--detach=false`) and none without; flags may stand behind words, unless the first word begins somebody else's command line;
//! `--` ends them. No library for Rust has these rules, and this is less than what rewriting them for one takes.
//!
//! [`arguments!`] makes a struct of flags: documentation, field, type, and how it is written: `"-b --bundle DIRECTORY"`, with
//! `N (0)` for a value with a default.

use std::path::PathBuf;

/// One flag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    /// `-b --bundle DIRECTORY`
    pub(crate) form: &'static str,
    /// For the help.
    pub(crate) about: &'static str,
    /// Whether it takes no value.
    pub(crate) switch: bool,
}

impl Flag {
    /// `b` and `bundle`
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.form
            .split(' ')
            .filter_map(|word| word.strip_prefix('-'))
            .map(|name| name.trim_start_matches('-'))
    }

    /// By which its values are kept: the long name.
    fn key(&self) -> &'static str {
        self.names().last().unwrap_or_default()
    }

    /// What it has when it is not given.
    fn default(&self) -> Option<&'static str> {
        self.form.strip_suffix(')').and_then(|form| form.split_once(" (")).map(|(_, value)| value)
    }
}

/// Why there is nothing to do.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Help is asked for.
    Help,
    /// A flag that is not there, or a value that it cannot have.
    Wrong(String),
}

/// What was given.
#[derive(Debug, Default)]
pub(crate) struct Given {
    values: Vec<(&'static str, String)>,
    words: Vec<String>,
}

impl Given {
    /// Sorts `words` into flags with their values and the rest.
    pub(crate) fn read(
        flags: &[Flag],
        words: Vec<String>,
        first_word_ends_flags: bool,
    ) -> Result<Self, Stop> {
        let mut given = Self::default();
        for flag in flags {
            given.values.extend(flag.default().map(|value| (flag.key(), value.to_owned())));
        }
        let mut rest = words.into_iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                break;
            }
            let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) else {
                given.words.push(word);
                if first_word_ends_flags {
                    break;
                }
                continue;
            };
            let name = name.strip_prefix('-').unwrap_or(name);
            let (name, value) =
                name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            let Some(flag) = flags.iter().find(|flag| flag.names().any(|known| known == name)) else {
                return Err(match name {
                    "h" | "help" => Stop::Help,
                    _ => Stop::Wrong(format!("flag provided but not defined: -{name}")),
                });
            };
            let value = match (value, flag.switch) {
                (Some(value), _) => value.to_owned(),
                (None, true) => "true".to_owned(),
                (None, false) => match rest.next() {
                    Some(value) => value,
                    None => return Err(Stop::Wrong(format!("flag needs an argument: -{name}"))),
                },
            };
            given.values.push((flag.key(), value));
        }
        given.words.extend(rest);
        Ok(given)
    }

    /// The words that are no flags.
    pub(crate) fn words(&mut self) -> Vec<String> {
        std::mem::take(&mut self.words)
    }

    /// All values of the flag written as `form`, in order, a default first.
    pub(crate) fn values<'a>(
        &'a self,
        form: &'static str,
    ) -> impl DoubleEndedIterator<Item = &'a str> + use<'a> {
        let key = Flag { form, about: "", switch: false }.key();
        self.values.iter().filter(move |(name, _)| *name == key).map(|(_, value)| value.as_str())
    }
}

/// A struct of flags.
pub(crate) trait Arguments: Sized {
    /// Appends its flags.
    fn flags(flags: &mut Vec<Flag>);

    /// Takes its values. The error is a line.
    fn take(given: &mut Given) -> Result<Self, String>;

    /// The words that are no flags.
    fn words(&self) -> &[String];
}

/// What a field may be.
pub(crate) trait Value: Sized {
    /// Whether the flag takes no value.
    const SWITCH: bool = false;

    /// From what was given.
    fn take(given: &Given, form: &'static str) -> Result<Self, String>;
}

/// What a value may be.
trait Parse: Sized {
    fn parse(text: &str) -> Option<Self>;
}

impl Parse for String {
    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Parse for PathBuf {
    fn parse(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

macro_rules! numbers {
    ($($kind:ty),*) => {$(
        impl Parse for $kind {
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }

        impl Value for $kind {
            fn take(given: &Given, form: &'static str) -> Result<Self, String> {
                given.values(form).next_back().map_or(Ok(0), |text| parse(text, form))
            }
        }
    )*};
}

numbers!(u16, u32, i64);

fn parse<T: Parse>(text: &str, form: &'static str) -> Result<T, String> {
    let name = Flag { form, about: "", switch: false }.key();
    T::parse(text).ok_or_else(|| format!("invalid value {text:?} for flag -{name}: parse error"))
}

impl Value for bool {
    const SWITCH: bool = true;

    fn take(given: &Given, form: &'static str) -> Result<Self, String> {
        let Some(text) = given.values(form).next_back() else { return Ok(false) };
        let name = Flag { form, about: "", switch: true }.key();
        match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            text => Err(format!("invalid boolean value {text:?} for -{name}: parse error")),
        }
    }
}

impl Value for String {
    fn take(given: &Given, form: &'static str) -> Result<Self, String> {
        Ok(given.values(form).next_back().unwrap_or_default().to_owned())
    }
}

impl<T: Parse> Value for Option<T> {
    fn take(given: &Given, form: &'static str) -> Result<Self, String> {
        given.values(form).next_back().map(|text| parse(text, form)).transpose()
    }
}

impl<T: Parse> Value for Vec<T> {
    fn take(given: &Given, form: &'static str) -> Result<Self, String> {
        given.values(form).map(|text| parse(text, form)).collect()
    }
}

/// See the module.
macro_rules! arguments {
    (
        $(#[doc = $outer:literal])*
        $visible:vis struct $name:ident {
            $($(#[doc = $about:literal])+ $field_visible:vis $field:ident: $kind:ty = $form:literal;)*
            $(flatten $flat:ident: $flat_kind:ty;)?
        }
    ) => {
        $(#[doc = $outer])*
        #[derive(Debug)]
        $visible struct $name {
            $($(#[doc = $about])+ $field_visible $field: $kind,)*
            $($flat: $flat_kind,)?
            /// The words that are no flags.
            #[allow(dead_code, reason = "not every verb takes any")]
            $visible words: Vec<String>,
        }

        impl $crate::flags::Arguments for $name {
            fn flags(flags: &mut Vec<$crate::flags::Flag>) {
                $(flags.push($crate::flags::Flag {
                    form: $form,
                    about: concat!($($about),+),
                    switch: <$kind as $crate::flags::Value>::SWITCH,
                });)*
                $(<$flat_kind as $crate::flags::Arguments>::flags(flags);)?
                let _ = flags;
            }

            fn take(given: &mut $crate::flags::Given) -> Result<Self, String> {
                Ok(Self {
                    $($field: $crate::flags::Value::take(given, $form)?,)*
                    words: given.words(),
                    $($flat: $crate::flags::Arguments::take(given)?,)?
                })
            }

            fn words(&self) -> &[String] {
                &self.words
            }
        }
    };
}
pub(crate) use arguments;

/// What a verb is about, how it is called and its flags.
pub(crate) fn help(usage: &str, about: &str, flags: &[Flag]) -> String {
    let form = |flag: &Flag| match flag.form.split_once(' ').filter(|(short, _)| !short.starts_with("--")) {
        Some((short, long)) if short.starts_with('-') => format!("{short}, {long}"),
        _ => format!("    {}", flag.form),
    };
    let forms: Vec<_> = flags
        .iter()
        .map(|flag| (form(flag), flag.about))
        .chain([("-h, --help".to_owned(), " Show help")])
        .collect();
    let width = forms.iter().map(|(form, _)| form.len()).max().unwrap_or(0);
    let lines: String = forms.iter().map(|(form, about)| format!("  {form:<width$} {about}\n")).collect();
    format!("{about}\n\nUsage: {usage}\n\nOptions:\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    arguments! {
        struct Sample {
            /// Do not wait
            detach: bool = "-d --detach";
            /// Where
            bundle: Option<String> = "-b --bundle DIRECTORY";
            /// Which, again and again
            gid: Vec<i64> = "--gid GID";
            /// How many
            count: u32 = "--count N (3)";
        }
    }

    fn sample(words: &[&str], first: bool) -> Result<Sample, String> {
        let mut flags = Vec::new();
        Sample::flags(&mut flags);
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        match Given::read(&flags, words, first) {
            Ok(mut given) => Sample::take(&mut given),
            Err(Stop::Help) => Err("help".to_owned()),
            Err(Stop::Wrong(message)) => Err(message),
        }
    }

    #[test]
    fn flags_are_gos() {
        let one = sample(&["-bundle", "/b", "--detach=true", "x"], false).unwrap();
        assert_eq!((one.bundle.as_deref(), one.detach, one.words.len()), (Some("/b"), true, 1));
        assert!(!sample(&["-detach=f", "x"], false).unwrap().detach);
        assert_eq!(sample(&["--b=/b=c"], false).unwrap().bundle.as_deref(), Some("/b=c"));
        assert_eq!(sample(&["x", "-gid", "-1", "--gid=2"], false).unwrap().gid, [-1, 2]);
        let both = sample(&["x", "-d", "--count", "7"], true).unwrap();
        assert_eq!((both.detach, both.count, both.words.len()), (false, 3, 4));
        assert_eq!(sample(&["-d", "--", "-x", "--"], true).unwrap().words, ["-x", "--"]);
        let wrong = |words: &[&str]| sample(words, false).unwrap_err();
        assert_eq!(wrong(&["x", "--bundle"]), "flag needs an argument: -bundle");
        assert_eq!(wrong(&["-detach=maybe"]), "invalid boolean value \"maybe\" for -detach: parse error");
        assert_eq!(wrong(&["--count", "-1"]), "invalid value \"-1\" for flag -count: parse error");
        assert_eq!(wrong(&["--nope=1"]), "flag provided but not defined: -nope");
        assert_eq!(wrong(&["-d", "--help"]), "help");
    }

    #[test]
    fn help_lists_every_flag() {
        let mut flags = Vec::new();
        Sample::flags(&mut flags);
        let help = help("sample [OPTIONS]", "A sample", &flags);
        assert!(help.contains("  -b, --bundle DIRECTORY  Where\n"), "{help}");
        assert!(help.contains("      --count N (3)       How many\n"), "{help}");
    }
}
