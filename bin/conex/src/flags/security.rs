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
        usual_capabilities: config.run.capabilities.as_ref().map(|usual| usual.0.clone()),
        privileged: given.on("privileged"),
        ..SecurityOptions::default()
    };
    for text in given.texts("security-opt") {
        options.apply(text.parse::<SecurityOpt>()?)?;
    }
    Ok(options)
}
