//! The way of one layer, piece by piece, as a program that a benchmark can time (`cargo xtask bench inflate`):
//!
//! - `layer inflate BLOB`: decompress, into nothing
//! - `layer hash TAR`: sha256
//! - `layer store TAR FILE`: sha256, and write to a file
//! - `layer pull BLOB FILE`: decompress on one thread, sha256 and write on another
//!
//! Each prints how many bytes came out.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use conex_archive::{HashingReader, decompress, read_ahead};

const BUFFER: usize = 256 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let count = match arguments[..] {
        ["inflate", blob] => copy(&mut decompress(File::open(blob)?)?, &mut io::sink())?,
        ["hash", tar] => hash(File::open(tar)?, &mut io::sink())?,
        ["store", tar, to] => hash(File::open(tar)?, &mut File::create(to)?)?,
        ["pull", blob, to] => pull(Path::new(blob), Path::new(to))?,
        _ => return Err("usage: layer inflate BLOB | hash TAR | store TAR FILE | pull BLOB FILE".into()),
    };
    println!("{count}");
    Ok(())
}

fn pull(blob: &Path, to: &Path) -> Result<u64, Box<dyn Error>> {
    let mut plain = decompress(File::open(blob)?)?;
    let mut file = File::create(to)?;
    Ok(read_ahead(&mut plain, |plain| hash(plain, &mut file))??)
}

fn hash(from: impl Read, to: &mut dyn Write) -> io::Result<u64> {
    let mut hashing = HashingReader::new(from);
    copy(&mut hashing, to)?;
    let (digest, count) = hashing.finish()?;
    eprintln!("{digest}");
    Ok(count)
}

/// As `io::copy`, by larger pieces.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut total = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(total),
            count => {
                to.write_all(&buffer[..count])?;
                total += count as u64;
            }
        }
    }
}
