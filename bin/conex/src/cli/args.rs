//! Docker's kinds of flags in clap's terms, and reading them back.
//!
//! A flag takes `--flag`, `--flag=true`, `--flag=false`, and bundles (`-it`); a value may begin with a hyphen
//! (`--memory-swap -1`) and the last one given counts; a list is given several times.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// A flag that is on or off.
pub(crate) fn flag(name: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("bool")
        .value_parser(boolean)
}

/// A flag with a value; `kind` is what help calls it.
pub(crate) fn value(name: &'static str, kind: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::Set).value_name(kind).allow_hyphen_values(true)
}

/// A flag that is given once for each value.
pub(crate) fn list(name: &'static str, kind: &'static str) -> Arg {
    value(name, kind).action(ArgAction::Append)
}

/// One positional argument.
pub(crate) fn one(name: &'static str) -> Arg {
    Arg::new(name).required(true).value_name(name)
}

/// One or more positional arguments, with flags between them.
pub(crate) fn many(name: &'static str) -> Arg {
    one(name).num_args(1..).action(ArgAction::Append)
}

/// Any number of positional arguments, with flags between them.
pub(crate) fn any(name: &'static str) -> Arg {
    Arg::new(name).num_args(0..).action(ArgAction::Append).value_name(name)
}

/// All words from the first that is no flag on: what follows belongs to the container.
pub(crate) fn words(id: &'static str, shown: &'static str) -> Arg {
    Arg::new(id)
        .required(true)
        .num_args(1..)
        .action(ArgAction::Append)
        .trailing_var_arg(true)
        .value_name(shown)
}

/// Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// What all definitions share.
pub(crate) fn prepare(command: Command) -> Command {
    let mut help = Arg::new("help").long("help").action(ArgAction::Help).help("Print usage");
    if !command.get_arguments().any(|arg| arg.get_short() == Some('h')) {
        help = help.short('h');
    }
    command.disable_help_flag(true).disable_version_flag(true).args_override_self(true).arg(help)
}

/// The flags and arguments of a command line that was parsed. A flag that was not defined was not given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'m>(Option<&'m ArgMatches>);

impl<'m> Given<'m> {
    pub(crate) fn new(matches: &'m ArgMatches) -> Self {
        Self(Some(matches))
    }

    /// No flag at all.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Whether a flag is on.
    pub(crate) fn on(self, name: &str) -> bool {
        self.switch(name).unwrap_or(false)
    }

    /// What a flag was set to, if it was.
    pub(crate) fn switch(self, name: &str) -> Option<bool> {
        self.0?.try_get_one::<bool>(name).ok().flatten().copied()
    }

    /// A value.
    pub(crate) fn text(self, name: &str) -> Option<&'m str> {
        self.0?.try_get_one::<String>(name).ok().flatten().map(String::as_str)
    }

    /// A value that is not empty: Docker takes `--name ""` for no name.
    pub(crate) fn filled(self, name: &str) -> Option<&'m str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// A value, by its own parser.
    ///
    /// # Errors
    /// The parser's.
    pub(crate) fn parsed<T, E>(
        self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        self.filled(name).map(parse).transpose()
    }

    /// All values, in order.
    pub(crate) fn texts(self, name: &str) -> impl Iterator<Item = &'m str> + use<'m> {
        self.0
            .and_then(|matches| matches.try_get_many::<String>(name).ok().flatten())
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// A required positional argument.
    pub(crate) fn argument(self, name: &str) -> &'m str {
        self.text(name).unwrap_or_default()
    }

    /// How many values there are, of whatever type.
    pub(crate) fn count(self, name: &str) -> usize {
        self.0.and_then(|matches| matches.try_get_raw(name).ok().flatten()).map_or(0, Iterator::count)
    }
}
