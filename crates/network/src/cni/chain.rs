//! Commands to all plugins of a network, in order or the other way round.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::request::check_container;
use super::result::document;
use super::{Attachment, Cni, CniError, Command, Fault, List, Plugin, Request, invoke};
use crate::store::Lock;

/// What statfs(2) says of a namespace's file.
const NSFS: i64 = 0x6e73_6673;

/// What a plugin is told beside its own part of the file.
type Extra = Map<String, Value>;

impl Cni {
    /// Puts a container on a network. What was written down of it stays until it is deleted, if that does not succeed at once: after an
    /// error, too.
    ///
    /// # Errors
    /// What a plugin says ([`CniError::Plugin`]), what none takes ([`CniError::NoPorts`], [`CniError::OneAddress`]), what none has given
    /// ([`CniError::NotGiven`]). Then the plugins have been told to delete again.
    pub fn add(&self, list: &List, container: &str, request: &Request) -> Result<Attachment, CniError> {
        check_container(container)?;
        request.check(list)?;
        // Before anything is added that it could not delete again.
        for plugin in &list.plugins {
            self.program(plugin.kind()).map_err(failed(list, plugin, Command::Add))?;
        }
        let _lock = self.lock(list, false)?;
        let mut attachment = Attachment {
            container: container.to_owned(),
            since: jiff::Timestamp::now(),
            list: list.clone(),
            request: request.clone(),
            result: None,
        };
        let mut turn = self.turn(&attachment)?;
        // ADD is never said twice.
        if self.is_known(&attachment) {
            let of_device =
                |old: &Attachment| old.list.name == list.name && old.request.device == request.device;
            let old = self.attachments_of(container)?.into_iter().find(of_device);
            self.undo(old.as_ref().unwrap_or(&attachment), &mut turn)?;
            turn = self.turn(&attachment)?;
        }
        self.write(&attachment)?;
        let added = self.add_chain(&attachment, &mut turn).and_then(|result| {
            attachment.result = Some(result);
            self.write(&attachment)?;
            request.is_met(list, &attachment.given())
        });
        match added {
            Ok(()) => Ok(attachment),
            Err(error) => {
                if let Err(error) = self.undo(&attachment, &mut turn) {
                    log::warn!("{error}");
                }
                Err(error)
            }
        }
    }

    fn add_chain(&self, attachment: &Attachment, turn: &mut File) -> Result<Map<String, Value>, CniError> {
        let list = &attachment.list;
        let mut result = None;
        for plugin in &list.plugins {
            let output = self.tell(attachment, turn, plugin, Command::Add, result.as_ref())?;
            let said = document(&output, list.version).map_err(Fault::Result);
            result = Some(said.map_err(failed(list, plugin, Command::Add))?);
        }
        Ok(result.unwrap_or_default())
    }

    /// Takes a container off a network: all plugins are told, whatever one says. May be done again.
    ///
    /// # Errors
    /// What the first that failed says; then it stays on record.
    pub fn delete(&self, attachment: &Attachment) -> Result<(), CniError> {
        let _lock = self.lock(&attachment.list, false)?;
        let mut turn = self.turn(attachment)?;
        self.undo(attachment, &mut turn)
    }

    fn undo(&self, attachment: &Attachment, turn: &mut File) -> Result<(), CniError> {
        let list = &attachment.list;
        let result = attachment.result.as_ref().filter(|_| list.version.has_check());
        let mut failed = None;
        for plugin in list.plugins.iter().rev() {
            let mut tell = || self.tell(attachment, turn, plugin, Command::Del, result);
            // Some stop at the first thing that is gone already (rules that somebody has flushed), and not at it again.
            let told = tell().or_else(|error| if error.is_said() { tell() } else { Err(error) });
            failed = failed.or(told.err());
        }
        failed.map_or_else(|| self.forget(attachment), Err)
    }

    /// Keeps on record that a container is to be on a network though its plugins could not add it, until they delete it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, attachment: &Attachment) -> Result<(), CniError> {
        let _lock = self.lock(&attachment.list, false)?;
        self.write(&Attachment { result: None, ..attachment.clone() })
    }

    /// Asks whether a container is on its network as it was added; nothing, where nobody can say (before 0.4.0, `disableCheck`).
    ///
    /// # Errors
    /// What the first says to whom it is not.
    pub fn check(&self, attachment: &Attachment) -> Result<(), CniError> {
        let list = &attachment.list;
        if !list.version.has_check() || list.disable_check {
            return Ok(());
        }
        let _lock = self.lock(list, false)?;
        let mut turn = self.turn(attachment)?;
        list.plugins.iter().try_for_each(|plugin| {
            self.tell(attachment, &mut turn, plugin, Command::Check, attachment.result.as_ref()).map(drop)
        })
    }

    /// Has the plugins clear what they keep of containers that have no attachment here. Does nothing before 1.1.0, and with `disableGC`:
    /// so who shares a network with another engine has to say.
    ///
    /// # Errors
    /// What the first that failed says; the others are told all the same.
    pub fn collect(&self, list: &List) -> Result<(), CniError> {
        // Nobody adds meanwhile, whom they would not know of.
        let _lock = self.lock(list, true)?;
        self.clear_temporaries(&list.name)?;
        if !list.version.has_collection() || list.disable_gc {
            return Ok(());
        }
        let all = self.attachments()?;
        let valid: Vec<Value> = all
            .iter()
            .filter(|one| one.list.name == list.name)
            .map(|one| json!({ "containerID": one.container, "ifname": one.request.device }))
            .collect();
        let extra = Extra::from_iter([("cni.dev/valid-attachments".to_owned(), valid.into())]);
        let mut failed = None;
        for plugin in &list.plugins {
            if let Err(error) = self.ask(list, plugin, Command::Gc, extra.clone()) {
                failed = failed.or(Some(error));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Asks whether containers can be added; nothing before 1.1.0.
    ///
    /// # Errors
    /// What the first says that cannot.
    pub fn status(&self, list: &List) -> Result<(), CniError> {
        if !list.version.has_collection() {
            return Ok(());
        }
        let mut plugins = list.plugins.iter();
        plugins.try_for_each(|plugin| self.ask(list, plugin, Command::Status, Extra::new()).map(drop))
    }

    /// The versions that a plugin speaks.
    ///
    /// # Errors
    /// When it is not there, or does not say.
    pub fn versions(&self, list: &List, plugin: &Plugin) -> Result<Vec<String>, CniError> {
        let output = self.ask(list, plugin, Command::Version, Extra::new())?;
        let said: Option<Value> = serde_json::from_slice(&output).ok();
        let versions = said.as_ref().and_then(|said| said.get("supportedVersions")).and_then(Value::as_array);
        Ok(versions.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// A command about an attachment.
    fn tell(
        &self,
        attachment: &Attachment,
        turn: &mut File,
        plugin: &Plugin,
        command: Command,
        result: Option<&Map<String, Value>>,
    ) -> Result<Vec<u8>, CniError> {
        let Attachment { container, list, request, .. } = attachment;
        let mut extra = Extra::new();
        let runtime_config = request.runtime_config(list.name.as_str(), plugin);
        if !runtime_config.is_empty() {
            extra.insert("runtimeConfig".to_owned(), runtime_config.into());
        }
        extra.extend(result.map(|result| ("prevResult".to_owned(), result.clone().into())));
        // One that is gone is no reason not to delete.
        let is_gone = command == Command::Del && !is_namespace(&request.netns);
        let environment = vec![
            ("CNI_CONTAINERID", OsString::from(container)),
            ("CNI_NETNS", if is_gone { OsString::new() } else { request.netns.clone().into() }),
            ("CNI_IFNAME", OsString::from(&request.device)),
            ("CNI_ARGS", request.arguments(list).into()),
        ];
        self.call(list, turn, plugin, command, extra, environment)
    }

    /// A command about no attachment.
    fn ask(&self, list: &List, plugin: &Plugin, command: Command, extra: Extra) -> Result<Vec<u8>, CniError> {
        let mut input = invoke::nameless().map_err(failed(list, plugin, command))?;
        self.call(list, &mut input, plugin, command, extra, Vec::new())
    }

    /// Runs a plugin, whose configuration is made of its part of the file (SPEC.md, "Deriving execution configuration").
    fn call(
        &self,
        list: &List,
        input: &mut File,
        plugin: &Plugin,
        command: Command,
        extra: Extra,
        mut environment: Vec<(&'static str, OsString)>,
    ) -> Result<Vec<u8>, CniError> {
        let mut config = plugin.config().clone();
        config.remove("capabilities");
        config.insert("cniVersion".to_owned(), list.version.as_str().into());
        config.insert("name".to_owned(), list.name.as_str().into());
        config.extend(extra);
        let config = serde_json::to_vec(&config).expect("a map is JSON");
        environment.push(("CNI_COMMAND", command.as_str().into()));
        environment.push(("CNI_PATH", joined(&self.settings.plugins)));
        let mut run = || {
            let program = self.program(plugin.kind())?;
            log::debug!("network {}: CNI plugin {}, {command}", list.name, program.display());
            invoke::run(&program, input, &config, &environment, self.settings.timeout)
        };
        run().map_err(failed(list, plugin, command))
    }

    fn lock(&self, list: &List, alone: bool) -> Result<Lock, CniError> {
        let directory = self.directory(&list.name);
        let lock = if alone { Lock::alone(&directory) } else { Lock::shared(&directory) };
        lock.map_err(|error| match error {
            crate::Error::File { what, path, source } => CniError::File { what, path, source },
            other => CniError::Config { path: directory, why: other.to_string() },
        })
    }
}

fn failed(list: &List, plugin: &Plugin, command: Command) -> impl FnOnce(Fault) -> CniError {
    let (network, plugin) = (list.name.to_string(), plugin.kind().to_owned());
    move |fault| CniError::Plugin { network, plugin, command, fault: Box::new(fault) }
}

/// `CNI_PATH`
fn joined(directories: &[std::path::PathBuf]) -> OsString {
    let mut text = OsString::new();
    for directory in directories {
        if !text.is_empty() {
            text.push(":");
        }
        text.push(directory);
    }
    text
}

/// Whether a namespace is at a path.
pub fn is_namespace(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|about| about.f_type == NSFS)
}
