//! `run`: `create` and `start`, and unless detached the wait for the end and `delete`.

use super::Act;
use super::create::New;
use crate::context::Context;
use crate::error::Error;
use crate::flags::arguments;
use crate::launch::{Manner, launch};

arguments! {
    pub(super) struct Arguments {
        /// Do not wait for the process
        detach: bool = "-d --detach";
        /// Do not remove the container when it has ended
        keep: bool = "--keep";
        /// Do not reap the container's orphans
        no_subreaper: bool = "--no-subreaper";
        flatten new: New;
    }
}

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let manner = if self.detach {
            Manner::Detached
        } else {
            Manner::Foreground { keep: self.keep, subreaper: !self.no_subreaper }
        };
        launch(&self.new.wishes(self.words), manner, context).map_err(Error::of("run", 1))
    }
}
