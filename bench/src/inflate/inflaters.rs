//! Inflating libraries that Conex does not use, each in a process of its own: `conex-bench inflate-as NAME FILE`.
//!
//! They are only here with the feature `inflaters`, which `cargo xtask bench inflate` sets: no other build pays for them.

#[cfg(feature = "inflaters")]
pub(crate) use with::{ALL, run};
#[cfg(not(feature = "inflaters"))]
pub(crate) use without::{ALL, run};

#[cfg(not(feature = "inflaters"))]
mod without {
    use crate::Result;

    pub(crate) const ALL: &[&str] = &[];

    pub(crate) fn run(_: &[String]) -> Result<u64> {
        Err("built without the feature inflaters".to_owned())
    }
}

#[cfg(feature = "inflaters")]
mod with {
    use std::fs;
    use std::io::Read;

    use crate::Result;

    /// A number at the end: threads.
    pub(crate) const ALL: &[&str] = &["libdeflate", "zune-inflate", "rapidgzip-core 2"];

    /// Gives back how many bytes came out.
    pub(crate) fn run(arguments: &[String]) -> Result<u64> {
        let [name, file] = arguments else { return Err("inflate-as needs NAME and FILE".to_owned()) };
        let whole = || fs::read(file).map_err(|error| format!("{file}: {error}"));
        let count = match name.as_str() {
            "libdeflate" => libdeflate(&whole()?)?,
            "zune-inflate" => zune(&whole()?)?,
            "rapidgzip-core 2" => rapidgzip(file, 2)?,
            _ => return Err(format!("no inflater is called {name}")),
        };
        Ok(count as u64)
    }

    /// All at once, into as many bytes as the trailer says (RFC 1952, 2.3.1: modulo 2^32).
    fn libdeflate(bytes: &[u8]) -> Result<usize> {
        let size = bytes.last_chunk().map_or(0, |last| u32::from_le_bytes(*last));
        let mut plain = vec![0; size as usize];
        let done = libdeflater::Decompressor::new().gzip_decompress(bytes, &mut plain);
        done.map_err(|error| error.to_string())
    }

    fn zune(bytes: &[u8]) -> Result<usize> {
        let options = zune_inflate::DeflateOptions::default().set_limit(1 << 30);
        let plain = zune_inflate::DeflateDecoder::new_with_options(bytes, options).decode_gzip();
        plain.map(|plain| plain.len()).map_err(|error| error.to_string())
    }

    fn rapidgzip(file: &str, threads: usize) -> Result<usize> {
        let decoder = rapidgzip_core::Decoder::builder().decoder_threads(threads).build();
        let decoder = decoder.map_err(|error| error.to_string())?;
        let mut plain = decoder.open(file).map_err(|error| error.to_string())?;
        let mut buffer = vec![0; 256 << 10];
        let mut total = 0;
        loop {
            match plain.read(&mut buffer).map_err(|error| error.to_string())? {
                0 => return Ok(total),
                count => total += count,
            }
        }
    }
}
