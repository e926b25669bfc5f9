//! Measures the crate by hand:
//!
//! ```text
//! erofs write TAR IMAGE        an uncompressed layer as an image
//! erofs merge IMAGE LAYER…     layers, lowest first, merged
//! erofs mount IMAGE DEVICE…    the mount, a hundred times
//! ```

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use conex_erofs::{Backing, MergeLayer, WriteOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let verb = arguments.next().unwrap_or_default();
    let paths: Vec<_> = arguments.collect();
    let create =
        |path: &PathBuf| File::options().read(true).write(true).create(true).truncate(true).open(path);
    match (verb.to_str(), paths.as_slice()) {
        (Some("write"), [tar, image]) => {
            let (tar, image) = (File::open(tar)?, create(image)?);
            let start = Instant::now();
            let stats = conex_erofs::write_layer(&tar, &image, &WriteOptions::default())?;
            let seconds = start.elapsed().as_secs_f64();
            let megabytes = tar.metadata()?.len() as f64 / 1e6;
            println!("{} entries, {:.1} ms, {:.0} MB/s", stats.entries, seconds * 1e3, megabytes / seconds);
            let start = Instant::now();
            image.sync_all()?;
            println!("fsync: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        }
        (Some("merge"), [image, layers @ ..]) => {
            let files = layers.iter().map(File::open).collect::<Result<Vec<_>, _>>()?;
            let names: Vec<_> = (0..files.len()).map(|number| format!("{number:064x}")).collect();
            let layers = files.iter().zip(&names).map(|(image, name)| MergeLayer { image, name });
            let image = create(image)?;
            let start = Instant::now();
            let merged = conex_erofs::merge(&layers.collect::<Vec<_>>(), &image, &WriteOptions::default())?;
            let milliseconds = start.elapsed().as_secs_f64() * 1e3;
            let (inodes, bytes, devices) = (merged.inodes, merged.bytes, merged.devices.len());
            println!("{inodes} inodes, {bytes} bytes, {devices} devices, {milliseconds:.2} ms");
        }
        (Some("mount"), [image, devices @ ..]) => {
            let start = Instant::now();
            for _ in 0..100 {
                conex_erofs::mount(image, devices, Backing::File)?;
            }
            println!("{:.0} µs a mount, with its end", start.elapsed().as_secs_f64() * 1e4);
        }
        _ => return Err("usage: erofs write TAR IMAGE | merge IMAGE LAYER… | mount IMAGE DEVICE…".into()),
    }
    Ok(())
}
