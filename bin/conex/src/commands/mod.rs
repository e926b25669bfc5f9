//! The verbs, one file each, and Docker's nouns over them.
//!
//! A verb reads its flags, calls the engine or the image store, and prints. It holds no state and knows no exit code
//! but those of the processes it reports on: errors get theirs in `errors`.

mod archive_file;
mod artifact;
mod attach;
mod cdi;
mod check;
mod chosen;
mod commit;
mod completion;
mod cp;
mod create;
mod debug;
mod df;
mod diff;
mod document;
mod each;
mod events;
mod exec;
mod export;
mod generate;
mod healthcheck;
mod history;
mod image_diff;
mod image_mount;
mod image_tree;
mod images;
mod import;
mod info;
mod inspect;
mod kill;
mod load;
mod login;
mod logout;
mod logs;
mod man;
mod metrics;
mod netns;
mod network;
mod nsenter;
mod pause;
mod pod;
mod port;
mod ports;
mod prune;
mod ps;
mod pull;
mod push;
mod registry;
mod rename;
mod restart;
mod rm;
mod rmi;
mod run;
mod save;
mod session;
mod shapes;
mod start;
mod stats;
mod stop;
mod tag;
mod time;
mod top;
mod ui;
mod unpause;
mod unshare;
mod update;
mod verify;
mod version;
mod volume;
mod wait;

use each::{each, each_container};

use crate::cli::{Noun, Verb};

/// All verbs.
pub(crate) static VERBS: &[&Verb] = &[
    &run::VERB,
    &create::VERB,
    &start::VERB,
    &stop::VERB,
    &restart::VERB,
    &kill::VERB,
    &wait::VERB,
    &rm::VERB,
    &rename::VERB,
    &attach::VERB,
    &exec::VERB,
    &debug::VERB,
    &unshare::VERB,
    &nsenter::VERB,
    &logs::VERB,
    &ps::VERB,
    &port::VERB,
    &inspect::VERB,
    &stats::VERB,
    &metrics::VERB,
    &top::VERB,
    &ui::VERB,
    &pause::VERB,
    &unpause::VERB,
    &update::VERB,
    &diff::VERB,
    &cp::VERB,
    &events::VERB,
    &commit::VERB,
    &export::VERB,
    &images::VERB,
    &import::VERB,
    &load::VERB,
    &save::VERB,
    &tag::VERB,
    &rmi::VERB,
    &history::VERB,
    &pull::VERB,
    &push::VERB,
    &login::VERB,
    &logout::VERB,
    &version::VERB,
    &info::VERB,
    &completion::VERB,
    &man::VERB,
];

/// Docker's management commands.
pub(crate) static NOUNS: &[Noun] = &[
    Noun {
        name: "container",
        about: "Manage containers",
        verbs: &[
            ("attach", &attach::VERB),
            ("commit", &commit::VERB),
            ("cp", &cp::VERB),
            ("create", &create::VERB),
            ("diff", &diff::VERB),
            ("exec", &exec::VERB),
            ("export", &export::VERB),
            ("inspect", &inspect::CONTAINER),
            ("kill", &kill::VERB),
            ("logs", &logs::VERB),
            ("ls", &ps::VERB),
            ("pause", &pause::VERB),
            ("port", &port::VERB),
            ("prune", &prune::CONTAINER),
            ("rename", &rename::VERB),
            ("restart", &restart::VERB),
            ("rm", &rm::VERB),
            ("run", &run::VERB),
            ("start", &start::VERB),
            ("stats", &stats::VERB),
            ("stop", &stop::VERB),
            ("top", &top::VERB),
            ("unpause", &unpause::VERB),
            ("update", &update::VERB),
            ("wait", &wait::VERB),
        ],
    },
    Noun {
        name: "image",
        about: "Manage images",
        verbs: &[
            ("diff", &image_diff::VERB),
            ("history", &history::VERB),
            ("import", &import::VERB),
            ("inspect", &inspect::IMAGE),
            ("load", &load::VERB),
            ("ls", &images::VERB),
            ("mount", &image_mount::MOUNT),
            ("prune", &prune::IMAGE),
            ("pull", &pull::VERB),
            ("push", &push::VERB),
            ("rm", &rmi::VERB),
            ("save", &save::VERB),
            ("tag", &tag::VERB),
            ("tree", &image_tree::VERB),
            ("unmount", &image_mount::UNMOUNT),
            ("verify", &verify::VERB),
        ],
    },
    Noun {
        name: "artifact",
        about: "Manage files in registries that are no images",
        verbs: &[("ls", &artifact::LIST), ("pull", &artifact::PULL), ("push", &artifact::PUSH)],
    },
    Noun { name: "cdi", about: "Look at devices that are asked for by name", verbs: &[("ls", &cdi::LIST)] },
    Noun {
        name: "network",
        about: "Manage networks",
        verbs: &[
            ("connect", &network::CONNECT),
            ("create", &network::CREATE),
            ("disconnect", &network::DISCONNECT),
            ("inspect", &network::INSPECT),
            ("ls", &network::LIST),
            ("prune", &network::PRUNE),
            ("reload", &network::RELOAD),
            ("rm", &network::REMOVE),
        ],
    },
    Noun {
        name: "pod",
        about: "Manage pods: containers that share namespaces",
        verbs: &[
            ("create", &pod::CREATE),
            ("exists", &pod::EXISTS),
            ("inspect", &pod::INSPECT),
            ("kill", &pod::KILL),
            ("pause", &pod::PAUSE),
            ("prune", &pod::PRUNE),
            ("ps", &pod::LIST),
            ("restart", &pod::RESTART),
            ("rm", &pod::REMOVE),
            ("start", &pod::START),
            ("stats", &stats::POD),
            ("stop", &pod::STOP),
            ("top", &pod::TOP),
            ("unpause", &pod::UNPAUSE),
        ],
    },
    Noun {
        name: "volume",
        about: "Manage volumes",
        verbs: &[
            ("create", &volume::CREATE),
            ("exists", &volume::EXISTS),
            ("export", &volume::EXPORT),
            ("import", &volume::IMPORT),
            ("inspect", &volume::INSPECT),
            ("ls", &volume::LIST),
            ("prune", &volume::PRUNE),
            ("rm", &volume::REMOVE),
        ],
    },
    Noun {
        name: "netns",
        about: "Look into the network namespaces of containers",
        verbs: &[("exec", &netns::EXEC)],
    },
    Noun {
        name: "generate",
        about: "Write files for other programs",
        verbs: &[("systemd", &generate::SYSTEMD)],
    },
    Noun {
        name: "healthcheck",
        about: "Manage health checks on containers",
        verbs: &[("run", &healthcheck::RUN)],
    },
    Noun {
        name: "registry",
        about: "Serve the images of this machine",
        verbs: &[("serve", &registry::SERVE)],
    },
    Noun {
        name: "system",
        about: "Manage Conex",
        verbs: &[
            ("check", &check::VERB),
            ("df", &df::VERB),
            ("events", &events::VERB),
            ("info", &info::VERB),
            ("prune", &prune::SYSTEM),
        ],
    },
];
