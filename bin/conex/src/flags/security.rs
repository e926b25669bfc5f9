//! Its rights: `--cap-add --cap-drop --privileged --security-opt`.

use clap::Arg;
use conex_engine::options::{SecurityOpt, SecurityOptions, parse_capability};

use super::under;
use crate::cli::Given;
use crate::cli::args::{flag, list};
use crate::config::Config;
use crate::errors::Error;

pub(super) fn define() -> Vec<Arg> {
    under(
        "Security",
        vec![
            list("cap-add", "list").help("Add Linux capabilities"),
            list("cap-drop", "list").help("Drop Linux capabilities"),
            flag("privileged").help("Give extended privileges to this container"),
            list("security-opt", "list").help(
                "Security options (seccomp=FILE|unconfined, no-new-privileges, mask=, unmask=, apparmor=, label=)",
            ),
        ],
    )
}

pub(super) fn read(given: &Given<'_>, config: &Config) -> Result<SecurityOptions, Error> {
    let mut options = SecurityOptions {
        cap_add: given.texts("cap-add").map(parse_capability).collect::<Result<_, _>>()?,
        cap_drop: given.texts("cap-drop").map(parse_capability).collect::<Result<_, _>>()?,
        privileged: given.on("privileged"),
        ..SecurityOptions::default()
    };
    if let Some(usual) = &config.run.capabilities {
        start_from(&usual.0, &mut options);
    }
    for text in given.texts("security-opt") {
        options.apply(text.parse::<SecurityOpt>()?)?;
    }
    Ok(options)
}

/// Other capabilities than Docker's to begin with: all dropped, and those that are left added.
fn start_from(usual: &[String], options: &mut SecurityOptions) {
    let named = |list: &[String], name: &str| list.iter().any(|other| other == name);
    if options.privileged || named(&options.cap_add, "ALL") || named(&options.cap_drop, "ALL") {
        return;
    }
    let kept = usual.iter().filter(|name| !named(&options.cap_drop, name));
    let mut all: Vec<String> = kept.cloned().collect();
    for name in options.cap_add.drain(..) {
        if !named(&all, &name) {
            all.push(name);
        }
    }
    (options.cap_add, options.cap_drop) = (all, vec!["ALL".to_owned()]);
}
