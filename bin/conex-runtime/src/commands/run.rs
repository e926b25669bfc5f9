//! `run`: `create` and `start`, and unless detached the wait for the end and `delete`.

use clap::Args;

use super::Act;
use super::create::New;
use crate::context::Context;
use crate::error::Error;
use crate::launch::{Manner, launch};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Do not wait for the process
    #[arg(short, long)]
    detach: bool,
    /// Do not remove the container when it has ended
    #[arg(long)]
    keep: bool,
    /// Do not reap the container's orphans
    #[arg(long)]
    no_subreaper: bool,
    #[command(flatten)]
    new: New,
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let manner = if self.detach {
            Manner::Detached
        } else {
            Manner::Foreground { keep: self.keep, subreaper: !self.no_subreaper }
        };
        launch(&self.new.into(), manner, context).map_err(Error::of("run", 1))
    }
}
