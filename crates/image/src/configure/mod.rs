//! `--change` of `commit` and `import`: a configuration changed by instructions in Dockerfile syntax.
//!
//! The parser is pure: instructions and a configuration in, a configuration or an error out. It takes those that change
//! nothing but the configuration, as Docker does: CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME
//! WORKDIR.

mod health;
mod instruction;
mod words;

use conex_oci::image::ImageConfig;

pub use health::duration;
use instruction::Applied;

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No such instruction, or one that makes files.
    #[error(
        "invalid change {word:?}: expected CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR"
    )]
    Instruction {
        /// As typed.
        word: String,
    },
    /// An instruction with bad arguments.
    #[error("invalid change {instruction} {text:?}: {why}")]
    Arguments {
        /// In capitals.
        instruction: &'static str,
        /// As typed.
        text: String,
        /// What is wrong, and what is expected.
        why: String,
    },
}

/// Applies the changes, in order. Each text is one instruction, or several on lines of their own; a backslash at the end of
/// a line joins it with the next.
pub fn configure<'t>(
    config: &mut ImageConfig,
    changes: impl IntoIterator<Item = &'t str>,
) -> Result<(), ChangeError> {
    let mut applied = Applied::default();
    for change in changes {
        for line in lines(change) {
            instruction::apply(config, &line, &mut applied)?;
        }
    }
    Ok(())
}

/// Lines with their continuations; comments and empty ones are left out.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if line.trim_start().starts_with('#') || (line.trim().is_empty() && !open) {
            continue;
        }
        let (part, continues) = match line.trim_end().strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some(last) => last.push_str(part),
            None => lines.push(part.to_owned()),
        }
        open = continues;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use conex_oci::image::Healthcheck;

    fn change(changes: &[&str]) -> ImageConfig {
        let mut config = ImageConfig {
            env: vec!["PATH=/bin".to_owned(), "OLD=1".to_owned()],
            cmd: Some(vec!["sh".to_owned()]),
            working_dir: "/srv".to_owned(),
            ..ImageConfig::default()
        };
        configure(&mut config, changes.iter().copied()).unwrap_or_else(|error| panic!("{error}"));
        config
    }

    fn refused(text: &str) -> String {
        configure(&mut ImageConfig::default(), [text]).unwrap_err().to_string()
    }

    fn list(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn commands_in_both_forms() {
        assert_eq!(change(&[r#"CMD ["a", "b c"]"#]).cmd, list(&["a", "b c"]));
        assert_eq!(change(&["cmd a  'b' $X"]).cmd, list(&["/bin/sh", "-c", "a  'b' $X"]));
        let entry = change(&[r#"ENTRYPOINT ["/x"]"#]);
        // The old command was meant for another program.
        assert_eq!((entry.entrypoint, entry.cmd), (list(&["/x"]), None));
        let both = change(&["CMD [\"y\"]", "ENTRYPOINT [\"/x\"]"]);
        assert_eq!((both.entrypoint, both.cmd), (list(&["/x"]), list(&["y"])));
        assert_eq!(change(&["CMD []"]).cmd, list(&[]));
        // What is no JSON list of texts is for the shell, as in Docker.
        assert_eq!(change(&["CMD [1]"]).cmd, list(&["/bin/sh", "-c", "[1]"]));
    }

    #[test]
    fn variables_and_labels() {
        let config = change(&[
            r#"ENV A=1 B="x y" C=a\ b PATH=$PATH:/sbin"#,
            "ENV OLD two words",
            "ENV D=${A}2 E=${N:-no} F='$A'",
        ]);
        assert_eq!(
            config.env,
            ["PATH=/bin:/sbin", "OLD=two words", "A=1", "B=x y", "C=a b", "D=12", "E=no", "F=$A"]
        );
        let config = change(&[r#"LABEL a.b="1 2" "c d"=e f=$OLD"#, "LABEL g h i"]);
        let labels: Vec<_> = config.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(labels, ["a.b=1 2", "c d=e", "f=1", "g=h i"]);
    }

    #[test]
    fn ports_volumes_users_and_directories() {
        let config = change(&[
            "EXPOSE 80 53/UDP 8000-8002/tcp",
            "VOLUME /data \"/a b\"",
            "VOLUME [\"/c\"]",
            "USER 1000:100",
        ]);
        assert_eq!(
            config.exposed_ports.keys().collect::<Vec<_>>(),
            ["53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"]
        );
        assert_eq!(config.volumes.keys().collect::<Vec<_>>(), ["/a b", "/c", "/data"]);
        assert_eq!(config.user, "1000:100");
        assert_eq!(change(&["WORKDIR a/../b"]).working_dir, "/srv/b");
        assert_eq!(change(&["WORKDIR /x", "WORKDIR y/"]).working_dir, "/x/y");
        assert_eq!(change(&["STOPSIGNAL SIGQUIT"]).stop_signal.as_deref(), Some("SIGQUIT"));
        assert_eq!(change(&["onbuild run make"]).on_build, list(&["run make"]));
    }

    #[test]
    fn health_checks() {
        let config = change(&["HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://localhost/"]);
        let expected = Healthcheck {
            test: vec!["CMD-SHELL".to_owned(), "curl -f http://localhost/".to_owned()],
            interval: Some(90_000_000_000),
            retries: Some(3),
            ..Healthcheck::default()
        };
        assert_eq!(config.healthcheck, Some(expected));
        assert_eq!(change(&["HEALTHCHECK NONE"]).healthcheck.unwrap().test, ["NONE"]);
        let exec = change(&[r#"HEALTHCHECK --start-period=5s CMD ["a", "b"]"#]).healthcheck.unwrap();
        assert_eq!(
            (exec.test, exec.start_period),
            (vec!["CMD".into(), "a".into(), "b".into()], Some(5_000_000_000))
        );
    }

    #[test]
    fn several_lines_are_several_instructions() {
        let config = change(&["# a remark\nUSER a\n\nENV X=1 \\\n  Y=2\n"]);
        assert_eq!(config.user, "a");
        assert_eq!(config.env[2..], ["X=1", "Y=2"]);
    }

    #[test]
    fn what_is_refused_is_said() {
        for (text, expected) in [
            ("RUN make", "expected CMD"),
            ("", "expected CMD"),
            ("FROM x", "expected CMD"),
            ("USER", "exactly one argument"),
            ("USER a b", "exactly one argument"),
            ("ENV", "at least one"),
            ("ENV A", "NAME=value"),
            ("ENV =x", "NAME=value"),
            ("ENV A=1 B", "NAME=value"),
            ("ENV A=\"x", "quote"),
            ("ENV A=${B", "brace"),
            ("ENV A=${B:x}", "modifier"),
            ("EXPOSE 70000", "port"),
            ("EXPOSE 5-2", "port"),
            ("EXPOSE 80/icmp", "tcp, udp or sctp"),
            ("STOPSIGNAL NOSUCH", "signal"),
            ("VOLUME \"\"", "empty"),
            ("ONBUILD FROM x", "ONBUILD"),
            ("HEALTHCHECK", "NONE or CMD"),
            ("HEALTHCHECK CMD", "command"),
            ("HEALTHCHECK --interval=1 CMD x", "duration"),
            ("HEALTHCHECK --nosuch=1 CMD x", "--nosuch"),
        ] {
            let error = configure(&mut ImageConfig::default(), [if text.is_empty() { " x" } else { text }]);
            let error = error.expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains('\n'));
        }
        assert!(refused("ADD a b").contains("\"ADD\""));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(ENV|LABEL|CMD|EXPOSE|VOLUME|USER|WORKDIR|HEALTHCHECK)[ $a-c{}:=\"'\\\\\\[\\]/.0-9-]{0,40}") {
            let _ = configure(&mut ImageConfig::default(), [&text[..]]);
        }
    }
}
