//! Transient scopes: made, changed and ended by calls to `org.freedesktop.systemd1.Manager` (org.freedesktop.systemd1(5)).

use super::bus::{Answer, Bus, Method, Side};
use super::wire::Value;
use crate::error::{Error, Result};

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const DONE: &str = "done";

/// A systemd to talk to.
pub(crate) struct Systemd {
    bus: Bus,
}

/// What systemd answers when it refuses.
struct Refusal {
    name: String,
    message: String,
}

impl Systemd {
    pub(crate) fn connect(side: Side) -> Result<Self> {
        Ok(Self { bus: Bus::connect(side)? })
    }

    fn manager(
        &mut self,
        member: &str,
        arguments: &[Value],
    ) -> Result<std::result::Result<Vec<Value>, Refusal>> {
        let method = Method {
            destination: "org.freedesktop.systemd1",
            path: "/org/freedesktop/systemd1",
            interface: MANAGER,
            member,
        };
        Ok(match self.bus.call(&method, arguments)? {
            Answer::Values(values) => Ok(values),
            Answer::Refused { name, message } => Err(Refusal { name, message }),
        })
    }

    /// systemd's version, such as 252.
    pub(crate) fn version(&mut self) -> Result<u32> {
        let get = Method {
            destination: "org.freedesktop.systemd1",
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
        };
        let answer = self.bus.call(&get, &[Value::text(MANAGER), Value::text("Version")])?;
        let Answer::Values(values) = answer else { return Ok(0) };
        let Some(Value::Variant(text)) = values.into_iter().next() else { return Ok(0) };
        let Value::Text(text) = *text else { return Ok(0) };
        // 252.38-1~deb12u1, v245.4-1.fc32
        let digits =
            text.trim_start_matches('v').split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        Ok(digits.parse().unwrap_or(0))
    }

    /// Makes the scope `unit` with properties, and returns when the processes are in it.
    ///
    /// # Errors
    /// [`Error::Unit`] when systemd refuses, or a unit of this name is in use.
    pub(crate) fn start(&mut self, unit: &str, properties: Vec<(String, Value)>) -> Result<()> {
        self.bus.subscribe(MANAGER, "JobRemoved")?;
        let arguments = [
            Value::text(unit),
            // As runc: no other job for it is waited for.
            Value::text("replace"),
            list(properties),
            Value::Array("(sa(sv))".to_owned(), Vec::new()),
        ];
        let mut started = self.manager("StartTransientUnit", &arguments)?;
        if matches!(&started, Err(refusal) if refusal.name.ends_with(".UnitExists")) {
            // A failed unit of an earlier container keeps its name until it is reset.
            self.reset(unit)?;
            started = self.manager("StartTransientUnit", &arguments)?;
        }
        let result = match started {
            Ok(job) => self.job(job)?,
            Err(refusal) => return Err(refused("start", unit, refusal)),
        };
        if result != DONE {
            self.reset(unit)?;
            return Err(Error::Unit {
                doing: "start",
                unit: unit.to_owned(),
                why: format!("its job ended as {result:?}"),
            });
        }
        Ok(())
    }

    /// Changes properties of a running scope.
    ///
    /// # Errors
    /// [`Error::Unit`].
    pub(crate) fn set(&mut self, unit: &str, properties: Vec<(String, Value)>) -> Result<()> {
        // Until the unit ends, not on disk.
        let arguments = [Value::text(unit), Value::Bool(true), list(properties)];
        self.manager("SetUnitProperties", &arguments)?.map_err(|refusal| refused("change", unit, refusal))?;
        // systemd writes to the group before it looks at the next message: when that is answered, it has written.
        self.version().map(drop)
    }

    /// Ends a scope and forgets it; one that is not there is no error.
    ///
    /// # Errors
    /// [`Error::Unit`].
    pub(crate) fn stop(&mut self, unit: &str) -> Result<()> {
        self.bus.subscribe(MANAGER, "JobRemoved")?;
        match self.manager("StopUnit", &[Value::text(unit), Value::text("replace")])? {
            Ok(job) => {
                let result = self.job(job)?;
                if result != DONE {
                    log::debug!("the job that stops {unit} ended as {result:?}");
                }
            }
            Err(refusal) if refusal.name.ends_with(".NoSuchUnit") => return Ok(()),
            Err(refusal) => return Err(refused("stop", unit, refusal)),
        }
        self.reset(unit)
    }

    /// Puts a process into a scope, from wherever it is: systemd may move where its caller may not.
    ///
    /// # Errors
    /// [`Error::Unit`].
    pub(crate) fn attach(&mut self, unit: &str, pid: u32) -> Result<()> {
        let pids = Value::Array("u".to_owned(), vec![Value::U32(pid)]);
        let arguments = [Value::text(unit), Value::text("/"), pids];
        self.manager("AttachProcessesToUnit", &arguments)?
            .map(drop)
            .map_err(|refusal| refused("enter", unit, refusal))
    }

    /// Lets systemd forget a unit that failed; one that did not, or is gone, is as it should be.
    fn reset(&mut self, unit: &str) -> Result<()> {
        if let Err(refusal) = self.manager("ResetFailedUnit", &[Value::text(unit)])? {
            log::debug!("{unit} is not reset: {}", refusal.message);
        }
        Ok(())
    }

    /// Waits for the end of a job; its result is `done`, `canceled`, `timeout`, `failed`, `dependency` or `skipped`.
    fn job(&mut self, answer: Vec<Value>) -> Result<String> {
        let Some(Value::Path(ours)) = answer.into_iter().next() else { return Ok("no job".to_owned()) };
        loop {
            let mut values = self.bus.signal("JobRemoved")?.into_iter();
            if let (Some(_id), Some(Value::Path(job)), Some(_unit), Some(Value::Text(result))) =
                (values.next(), values.next(), values.next(), values.next())
                && job == ours
            {
                return Ok(result);
            }
        }
    }
}

/// `a(sv)`
fn list(properties: Vec<(String, Value)>) -> Value {
    let property = |(name, value)| Value::Struct(vec![Value::Text(name), Value::Variant(Box::new(value))]);
    Value::Array("(sv)".to_owned(), properties.into_iter().map(property).collect())
}

fn refused(doing: &'static str, unit: &str, refusal: Refusal) -> Error {
    let why = if refusal.message.is_empty() { refusal.name } else { refusal.message };
    Error::Unit { doing, unit: unit.to_owned(), why: why.lines().next().unwrap_or_default().to_owned() }
}
