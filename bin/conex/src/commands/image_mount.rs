//! `image mount` and `image unmount`: an image's root filesystem at a directory, to look into.

use std::path::Path;

use clap::{Arg, ArgAction, Command};
use conex_image::{Mounted, Store};
use serde_json::{Value, json};

use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row};
use crate::format::units::short_id;
use crate::output;

pub(crate) const MOUNT: Verb = Verb {
    name: "mount",
    aliases: &[],
    about: "Mount an image's root filesystem, read-only, or list what is mounted",
    usage: "[IMAGE [DIRECTORY]]",
    arity: Arity::AtMost(2),
    examples: "  ls $(conex image mount alpine:3.20)/etc\n  conex image mount alpine:3.20 /mnt\n  conex image mount",
    unsupported: &[],
    failure: 1,
    define: |command| {
        command.args([
            value("format", "string").help(
                "Format the list using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'",
            ),
            value("platform", "string").help("Mount the image of this platform (os/arch[/variant])"),
            Arg::new("image").value_name("IMAGE"),
            Arg::new("directory").value_name("DIRECTORY"),
        ])
    },
    run: mount,
};

pub(crate) const UNMOUNT: Verb = Verb {
    name: "unmount",
    aliases: &["umount"],
    about: "Unmount images that were mounted with 'image mount'",
    usage: "IMAGE|DIRECTORY [IMAGE|DIRECTORY...]",
    arity: Arity::AtLeast(0),
    examples: "  conex image unmount alpine:3.20\n  conex image unmount --all",
    unsupported: &[],
    failure: 1,
    define: |command: Command| {
        command.args([
            flag("all").short('a').help("Unmount all images"),
            flag("force").short('f').help("Unmount also what is in use"),
            Arg::new("name").num_args(0..).action(ArgAction::Append).value_name("IMAGE|DIRECTORY"),
        ])
    },
    run: unmount,
};

const COLUMNS: &[Column] = &[("ID", "IMAGE ID"), ("Image", "IMAGE"), ("Path", "MOUNTED ON")];

fn mount(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let images = context.images()?;
    let Some(name) = given.filled("image") else {
        let format =
            Format::parse(given.text("format").unwrap_or("table"), "{{.ID}}\t{{.Image}}\t{{.Path}}")?;
        return list(&images, &format);
    };
    if context.is_alone()? {
        return Err(Error::Refused(format!(
            "an ordinary user's mounts go when nothing of his runs any more, which is now: run 'conex image mount {name}' within \
             'conex unshare'"
        )));
    }
    let platform = given.parsed("platform", str::parse)?;
    let image = images.resolve(name, platform.as_ref())?;
    let mounted = match given.filled("directory") {
        Some(directory) => images.mount(&image, Path::new(directory), false)?,
        None => {
            let directory = context.run_directory().join("mounts").join(image.id.short());
            make(&directory).map_err(|source| Error::File {
                action: "create",
                path: directory.clone(),
                source,
            })?;
            images.mount(&image, &directory, true)?
        }
    };
    output::line(mounted.path.to_string_lossy())?;
    Ok(0)
}

/// Only its owner enters it: the image has whatever it has in it.
fn make(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

fn list(images: &Store, format: &Format) -> Result<u8, Error> {
    let mut rows: Vec<Value> = Vec::new();
    for Mounted { image, path } in images.mounted()? {
        let id = image.to_string();
        // It cannot have been removed, but it may have lost its names.
        let name = match images.resolve(&id, None) {
            Ok(image) => image.references.first().map(conex_oci::Reference::familiar),
            Err(_) => None,
        };
        rows.push(json!({
            "ID": short_id(&id),
            "Image": name.unwrap_or_else(|| "<none>".to_owned()),
            "Path": path.to_string_lossy(),
        }));
    }
    let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
    output::text(&format.render(COLUMNS, rows)?)?;
    Ok(0)
}

fn unmount(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let images = context.images()?;
    let names: Vec<&str> = given.texts("name").collect();
    let force = given.on("force");
    if names.is_empty() != given.on("all") {
        return Err(Error::Arguments("name the images or directories to unmount, or give --all".to_owned()));
    }
    let mut code = 0;
    let mut tell = |outcome: Result<(), Error>| {
        if let Err(error) = outcome {
            error.tell();
            code = 1;
        }
    };
    if given.on("all") {
        for mounted in images.mounted()? {
            tell(take_off(&images, &mounted, force));
        }
    }
    for name in names {
        tell(unmount_one(&images, name, force));
    }
    Ok(code)
}

fn unmount_one(images: &Store, name: &str, force: bool) -> Result<(), Error> {
    let mounted = images.mounted()?;
    let mut meant: Vec<&Mounted> = Vec::new();
    if let Some(place) = images.mounted_on(Path::new(name)) {
        meant.extend(mounted.iter().filter(|mounted| mounted.path == place));
    }
    if meant.is_empty() && !name.starts_with('/') {
        let id = images.resolve(name, None)?.id;
        meant.extend(mounted.iter().filter(|mounted| mounted.image == id));
    }
    if meant.is_empty() {
        return Err(Error::Refused(format!("{name} is not mounted; 'conex image mount' lists what is")));
    }
    meant.into_iter().try_for_each(|mounted| take_off(images, mounted, force))
}

fn take_off(images: &Store, mounted: &Mounted, force: bool) -> Result<(), Error> {
    images.unmount(mounted, force)?;
    output::line(mounted.path.to_string_lossy())
}
