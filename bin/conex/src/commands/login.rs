//! `login`

use std::io::Read;

use clap::{Arg, Command};
use conex_registry::{Client, Credential, Credentials, Kept, Secret};

use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::{output, terminal};

pub(crate) const VERB: Verb = Verb {
    name: "login",
    aliases: &[],
    about: "Authenticate to a registry",
    usage: "[SERVER]",
    arity: Arity::AtMost(1),
    examples: "  conex login registry.example.com
  conex login -u anna --password-stdin registry.example.com:5000 < password",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

/// The most that is read of a password, in bytes.
const LIMIT: u64 = 32 << 10;

fn define(command: Command) -> Command {
    command.args([
        value("username", "string").short('u').help("Username"),
        value("password", "string").short('p').help("Password or Personal Access Token (PAT)"),
        flag("password-stdin").help("Take the Password or Personal Access Token (PAT) from stdin"),
        Arg::new("server").value_name("SERVER"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let registry = registry(given.filled("server"));
    let client = context.registries();
    let credentials = Credentials::from_env();
    let (username, password) = words(given)?;
    if username.is_none()
        && password.is_none()
        && let Some(known) = credentials.find(&registry, "")?
    {
        let user = known.username().map(|user| format!(" [Username: {user}]")).unwrap_or_default();
        output::note(format!("Authenticating with existing credentials...{user}"));
        match client.login(&registry, &known) {
            Ok(done) => return succeeded(&done.kept),
            Err(error) if !terminal::input_is_terminal() => return Err(error.into()),
            Err(_) => output::note("Stored credentials invalid or expired"),
        }
    }
    let username = match username {
        Some(username) => username,
        None => ask_username(credentials.username(&registry))?,
    };
    let password = match password {
        Some(password) => password,
        None => ask_password()?,
    };
    if password.is_empty() {
        return Err(Error::Refused("password required".to_owned()));
    }
    log_in(&client, &registry, username, password)
}

fn log_in(client: &Client, registry: &str, username: String, password: String) -> Result<u8, Error> {
    let credential = Credential::Password { username, password: Secret::new(password) };
    succeeded(&client.login(registry, &credential)?.kept)
}

fn succeeded(kept: &Kept) -> Result<u8, Error> {
    if let Kept::File(path) = kept {
        output::note(format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this \
             warning (\"credsStore\" in that file).\n",
            path.display()
        ));
    }
    output::line("Login Succeeded")?;
    Ok(0)
}

/// What flags and standard input say.
fn words(given: &Given<'_>) -> Result<(Option<String>, Option<String>), Error> {
    let username = given.filled("username").map(str::to_owned);
    let mut password = given.filled("password").map(str::to_owned);
    let from_stdin = given.on("password-stdin");
    if password.is_some() {
        output::note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        if from_stdin {
            return Err(Error::Refused("--password and --password-stdin are mutually exclusive".to_owned()));
        }
    }
    if from_stdin {
        if username.is_none() {
            return Err(Error::Refused(
                "the --password-stdin option requires --username to be set".to_owned(),
            ));
        }
        let mut text = String::new();
        let read = std::io::stdin().lock().take(LIMIT).read_to_string(&mut text);
        read.map_err(|error| {
            Error::Refused(format!("cannot read the password from standard input: {error}"))
        })?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        password = Some(line.strip_suffix('\r').unwrap_or(line).to_owned());
    }
    Ok((username, password))
}

fn ask_username(known: Option<String>) -> Result<String, Error> {
    interactive()?;
    let question = known.as_ref().map_or("Username: ".to_owned(), |known| format!("Username ({known}): "));
    let typed = terminal::ask(&question).map_err(unasked)?;
    let typed = Some(typed.trim().to_owned()).filter(|typed| !typed.is_empty()).or(known);
    typed.ok_or_else(|| Error::Refused("username required".to_owned()))
}

fn ask_password() -> Result<String, Error> {
    interactive()?;
    terminal::ask_secret("Password: ").map_err(unasked)
}

fn unasked(error: std::io::Error) -> Error {
    Error::Refused(format!("cannot read from the terminal: {error}"))
}

fn interactive() -> Result<(), Error> {
    if terminal::input_is_terminal() {
        return Ok(());
    }
    Err(Error::Refused("cannot perform an interactive login from a non TTY device".to_owned()))
}

/// The registry that is meant: Docker takes addresses too, and Docker Hub by several names.
pub(super) fn registry(server: Option<&str>) -> String {
    let Some(server) = server else { return "docker.io".to_owned() };
    let bare = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    let host = bare.split('/').next().unwrap_or_default();
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::registry;

    #[test]
    fn servers() {
        for (typed, expected) in [
            (None, "docker.io"),
            (Some("https://index.docker.io/v1/"), "docker.io"),
            (Some("http://127.0.0.1:5000"), "127.0.0.1:5000"),
            (Some("r.example/team"), "r.example"),
        ] {
            assert_eq!(registry(typed), expected);
        }
    }
}
