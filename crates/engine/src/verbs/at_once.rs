//! One verb for many containers at the same time: each waits most of its time, for a program to end.

use std::thread;

use conex_oci::ContainerId;

use crate::{Engine, Error};

/// How many at a time.
const AT_ONCE: usize = 32;

impl Engine {
    /// Does the same to each, by a handle of its own on a thread of its own, and has `told` hear of each in their order: what came of it,
    /// or that it panicked.
    ///
    /// # Errors
    /// That of `told`, after which no more are begun.
    pub fn at_once<E: From<Error> + Send>(
        &self,
        ids: &[ContainerId],
        act: impl Fn(&Self, &ContainerId) -> Result<(), E> + Sync,
        mut told: impl FnMut(usize, thread::Result<Result<(), E>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let act = &act;
        for (begin, some) in ids.chunks(AT_ONCE).enumerate().map(|(round, some)| (round * AT_ONCE, some)) {
            thread::scope(|scope| {
                let start = |id| {
                    let paths = self.paths().clone();
                    scope.spawn(move || act(&Self::open(paths)?, id))
                };
                let threads: Vec<_> = some.iter().map(start).collect();
                let mut ended = threads.into_iter().enumerate();
                ended.try_for_each(|(place, thread)| told(begin + place, thread.join()))
            })?;
        }
        Ok(())
    }
}
