//! `layer TAR IMAGE`: writes an uncompressed layer as an EROFS image and says how long it took.

use std::fs::File;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [tar, image] = arguments.as_slice() else { return Err("usage: layer TAR IMAGE".into()) };
    let tar = File::open(tar)?;
    let image = File::options().read(true).write(true).create(true).truncate(true).open(image)?;
    let start = Instant::now();
    let stats = conex_erofs::write_layer(&tar, &image, &conex_erofs::WriteOptions::default())?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = tar.metadata()?.len() as f64;
    println!("{stats:?}\n{:.1} ms, {:.0} MB/s", seconds * 1e3, bytes / 1e6 / seconds);
    Ok(())
}
