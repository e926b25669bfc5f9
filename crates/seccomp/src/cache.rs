//! Compiled programs on disk: one small file each, named by the hash of the text that it was compiled from.
//!
//! A program says what a container may do, so a file counts only if nobody but its owner, who is the caller, can have
//! written it, and its checksum is right; anything else is compiled anew and replaced. The cache is a help, never a
//! condition: trouble with it costs a compilation.

use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use conex_oci::Hasher;
use conex_oci::runtime::SeccompText;
use conex_sys::seccomp::{Flags, INSTRUCTION_SIZE, MAX_INSTRUCTIONS};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, linkat, open, openat, unlinkat};

use crate::{Program, Result, compile};

/// A folder of compiled programs.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
    /// The caller, whose everything in it is.
    owner: u32,
}

/// The first line of a file. The hex digests of its key and of its code follow and the flags, a line each, then the code.
const MAGIC: &str = "conex seccomp 2\n";
const HEADER: usize = MAGIC.len() + 2 * (64 + 1) + 8 + 1;
const LONGEST: usize = HEADER + MAX_INSTRUCTIONS * INSTRUCTION_SIZE;

impl Cache {
    /// The folder is made, mode 0700, when the first program is kept.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), owner: rustix::process::geteuid().as_raw() }
    }

    /// The compiled rules, from the cache when it has them; they are not even read then.
    ///
    /// # Errors
    /// Those of [`compile()`](compile()), and [`Error::Rules`](crate::Error::Rules).
    pub fn program(&self, seccomp: &SeccompText) -> Result<Program> {
        let key = key(seccomp.text());
        if let Ok(Some(program)) = self.read(&key) {
            return Ok(program);
        }
        let program = compile(&seccomp.rules()?)?;
        // A cache that cannot be written is no reason not to start.
        let _ = self.keep(&key, &program);
        Ok(program)
    }

    /// `None` for a file that cannot be relied on.
    fn read(&self, key: &str) -> io::Result<Option<Program>> {
        let Some(directory) = self.open()? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(&directory, key, flags, Mode::empty())?;
        if !self.is_ours(&file, FileType::RegularFile)? {
            return Ok(None);
        }
        let mut content = Vec::with_capacity(4096);
        std::fs::File::from(file).take(LONGEST as u64 + 1).read_to_end(&mut content)?;
        if content.len() <= HEADER
            || content.len() > LONGEST
            || !(content.len() - HEADER).is_multiple_of(INSTRUCTION_SIZE)
        {
            return Ok(None);
        }
        let code = content.split_off(HEADER);
        let flags = std::str::from_utf8(&content[HEADER - 9..HEADER - 1]).ok();
        let Some(flags) = flags.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return Ok(None);
        };
        let program = Program::new(code, Flags::from_bits(flags));
        Ok((content == header(key, &program).as_bytes()).then_some(program))
    }

    /// Writes a file without a name and gives it its name when it is whole: a crash leaves nothing behind.
    fn keep(&self, key: &str, program: &Program) -> io::Result<()> {
        if !self.directory.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        }
        let Some(directory) = self.open()? else { return Ok(()) };
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let mut file = std::fs::File::from(openat(&directory, ".", flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(header(key, program).as_bytes())?;
        file.write_all(program.as_bytes())?;
        let nameless = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let name = || linkat(CWD, &nameless, &directory, key, AtFlags::SYMLINK_FOLLOW);
        match name() {
            Err(rustix::io::Errno::EXIST) => {
                // Another process was faster, or the file in the way is bad; replacing it is right in both cases.
                unlinkat(&directory, key, AtFlags::empty())?;
                Ok(name()?)
            }
            result => Ok(result?),
        }
    }

    /// `None` for a folder that others may write to.
    fn open(&self) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = open(&self.directory, flags, Mode::empty())?;
        Ok(self.is_ours(&directory, FileType::Directory)?.then_some(directory))
    }

    /// Of this kind, owned by the caller, and writable by nobody else.
    fn is_ours(&self, file: &OwnedFd, kind: FileType) -> io::Result<bool> {
        let stat = fstat(file)?;
        Ok(FileType::from_raw_mode(stat.st_mode) == kind
            && stat.st_uid == self.owner
            && stat.st_mode & 0o022 == 0)
    }
}

/// The digest is that of flags and code.
fn header(key: &str, program: &Program) -> String {
    let flags = program.flags().bits();
    let mut digest = Hasher::new();
    digest.update(&flags.to_le_bytes());
    digest.update(program.as_bytes());
    format!("{MAGIC}{key}\n{}\n{flags:08x}\n", digest.finish().hex())
}

/// The hash of the text, the architecture and the compiler, in hexadecimal digits.
fn key(text: &str) -> String {
    let mut digest = Hasher::new();
    for part in [std::env::consts::ARCH, env!("CARGO_PKG_VERSION"), text] {
        digest.update(part.as_bytes());
        // In no text of JSON.
        digest.update(&[0]);
    }
    digest.update(&compile::VERSION.to_le_bytes());
    digest.finish().hex()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;
    use conex_oci::Digest;
    use conex_oci::runtime::{Linux, Seccomp};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn rules() -> Seccomp {
        Profile::builtin().resolve(&[])
    }

    fn seccomp() -> SeccompText {
        (&rules()).into()
    }

    /// Another program, with the flags of the first.
    fn other(program: &Program) -> Program {
        Program::new(vec![6, 0, 0, 0, 0, 0, 0xff, 0x7f], program.flags())
    }

    /// The single file of the cache.
    fn file(cache: &Cache) -> PathBuf {
        let mut entries: Vec<_> =
            fs::read_dir(&cache.directory).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.pop().unwrap()
    }

    #[test]
    fn a_program_is_kept_and_found() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(root.path().join("a/b"));
        let seccomp = seccomp();
        let compiled = cache.program(&seccomp).unwrap();
        assert_eq!(compiled, compile(&rules()).unwrap());
        let file = file(&cache);
        assert_eq!(fs::metadata(&cache.directory).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        // That it is the file's code which comes back shows when the file holds another program.
        let other = other(&compiled);
        let name = file.file_name().unwrap().to_str().unwrap();
        fs::write(&file, [header(name, &other).as_bytes(), other.as_bytes()].concat()).unwrap();
        assert_eq!(cache.program(&seccomp).unwrap(), other);
    }

    #[test]
    fn a_bad_file_is_compiled_anew_and_replaced() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(root.path());
        let seccomp = seccomp();
        let compiled = cache.program(&seccomp).unwrap();
        let file = file(&cache);
        let good = fs::read(&file).unwrap();
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let mut foreign = good.clone();
        foreign[MAGIC.len()] ^= 1;
        let mut flagged = good.clone();
        flagged[HEADER - 2] ^= 1;
        for bad in [
            &[][..],
            &good[..HEADER],
            &good[..good.len() - 8],
            &good[..good.len() - 1],
            &flipped,
            &foreign,
            &flagged,
        ] {
            fs::write(&file, bad).unwrap();
            assert_eq!(cache.program(&seccomp).unwrap(), compiled);
            assert_eq!(fs::read(&file).unwrap(), good);
        }
        // A file of any size is not read into memory.
        fs::File::options().write(true).open(&file).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(cache.program(&seccomp).unwrap(), compiled);
        // A symlink is not followed.
        let aside = root.path().join("aside");
        fs::write(&aside, &good).unwrap();
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&aside, &file).unwrap();
        assert_eq!(cache.program(&seccomp).unwrap(), compiled);
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
    }

    #[test]
    fn what_others_could_have_written_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(root.path().join("cache"));
        let seccomp = seccomp();
        let compiled = cache.program(&seccomp).unwrap();
        let file = file(&cache);
        let other = other(&compiled);
        let name = file.file_name().unwrap().to_str().unwrap();
        let forged = [header(name, &other).as_bytes(), other.as_bytes()].concat();

        fs::write(&file, &forged).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).unwrap();
        assert_eq!(cache.program(&seccomp).unwrap(), compiled);

        fs::write(&file, &forged).unwrap();
        fs::set_permissions(&cache.directory, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(cache.program(&seccomp).unwrap(), compiled);
        assert_eq!(fs::read(&file).unwrap(), forged, "nor is anything kept there");
    }

    #[test]
    fn a_cache_that_cannot_be_is_no_error() {
        let cache = Cache::new("/proc/none");
        assert!(cache.program(&seccomp()).is_ok());
        let bad = Seccomp { default_action: "X".to_owned(), ..Seccomp::default() };
        assert!(cache.program(&(&bad).into()).is_err());
        let linux: Linux = serde_json::from_str(r#"{"seccomp": {"syscalls": [{"names": 7}]}}"#).unwrap();
        let error = cache.program(&linux.seccomp.unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("linux.seccomp.syscalls[0].names: invalid type"), "{error}");
    }

    #[test]
    fn keys_tell_profiles_apart() {
        let mut other = rules();
        other.syscalls[0].errno_ret = Some(1);
        assert_ne!(key(seccomp().text()), key(SeccompText::from(&other).text()));
        assert_eq!(key(seccomp().text()), key(seccomp().text()));
    }

    /// A cached program must not outlive the compiler that made it.
    #[test]
    fn the_version_rises_with_the_code() {
        let seccomp = Profile::builtin().resolve_for(&[], crate::arch::Arch::X86_64, (6, 12));
        if cfg!(target_arch = "x86_64") {
            let digest = Digest::of(compile(&seccomp).unwrap().as_bytes()).hex();
            assert_eq!(
                (compile::VERSION, digest.as_str()),
                (2, "a7091ea371b2368cacc425db7e66170bdb579f39bf4e6480a3759b7e12f4fef2"),
                "the code for the default profile changed: raise VERSION if the compiler or the table of system calls did, \
                 then write the new digest here"
            );
        }
    }
}
