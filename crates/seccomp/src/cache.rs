//! Compiled programs on disk: one small file each, named by the hash of all that it was compiled from.
//!
//! A program says what a container may do, so a file counts only if nobody but its owner, who is the caller, can have
//! written it, and its checksum is right; anything else is compiled anew and replaced. The cache is a help, never a
//! condition: trouble with it costs a compilation.

use std::fs::DirBuilder;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use conex_oci::Digest;
use conex_oci::runtime::Seccomp;
use conex_sys::seccomp::{INSTRUCTION_SIZE, MAX_INSTRUCTIONS};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, linkat, open, openat, unlinkat};

use crate::{Program, Result, compile};

/// A folder of compiled programs.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

/// The first line of a file; the hex digests of its key and of its code follow, a line each, then the code.
const MAGIC: &str = "conex seccomp 1\n";
const HEADER: usize = MAGIC.len() + 2 * (64 + 1);
const LONGEST: usize = HEADER + MAX_INSTRUCTIONS * INSTRUCTION_SIZE;

impl Cache {
    /// The folder is made, mode 0700, when the first program is kept.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The compiled rules, from the cache when it has them. The errors are those of [`compile()`](compile()) alone.
    pub fn program(&self, seccomp: &Seccomp) -> Result<Program> {
        let key = key(seccomp);
        if let Ok(Some(code)) = self.read(&key) {
            return Ok(Program::new(code, compile::flags(seccomp)?));
        }
        let program = compile(seccomp)?;
        // A cache that cannot be written is no reason not to start.
        let _ = self.keep(&key, program.as_bytes());
        Ok(program)
    }

    /// `None` for a file that cannot be relied on.
    fn read(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(directory) = self.open()? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(&directory, key, flags, Mode::empty())?;
        if !is_ours(&file, FileType::RegularFile)? {
            return Ok(None);
        }
        let mut content = Vec::with_capacity(4096);
        std::fs::File::from(file).take(LONGEST as u64 + 1).read_to_end(&mut content)?;
        let valid = content.len() > HEADER
            && content.len() <= LONGEST
            && (content.len() - HEADER).is_multiple_of(INSTRUCTION_SIZE)
            && content[..HEADER] == *header(key, &content[HEADER..]).as_bytes();
        Ok(valid.then(|| content.split_off(HEADER)))
    }

    /// Writes a file without a name and gives it its name when it is whole: a crash leaves nothing behind.
    fn keep(&self, key: &str, code: &[u8]) -> io::Result<()> {
        if !self.directory.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        }
        let Some(directory) = self.open()? else { return Ok(()) };
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let mut file = std::fs::File::from(openat(&directory, ".", flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(header(key, code).as_bytes())?;
        file.write_all(code)?;
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
        Ok(is_ours(&directory, FileType::Directory)?.then_some(directory))
    }
}

/// Of this kind, owned by the caller, and writable by nobody else.
fn is_ours(file: &OwnedFd, kind: FileType) -> io::Result<bool> {
    let stat = fstat(file)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == kind
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_mode & 0o022 == 0)
}

fn header(key: &str, code: &[u8]) -> String {
    format!("{MAGIC}{key}\n{}\n", Digest::of(code).hex())
}

/// The hash of the rules, the architecture and the compiler, in hexadecimal digits.
fn key(seccomp: &Seccomp) -> String {
    let mut collected = Collected(Vec::with_capacity(16 << 10));
    (seccomp, std::env::consts::ARCH, env!("CARGO_PKG_VERSION"), compile::VERSION).hash(&mut collected);
    Digest::of(&collected.0).hex()
}

/// What a value feeds to a hasher, with its lengths and separators, for a hash that does not change between programs.
struct Collected(Vec<u8>);

impl Hasher for Collected {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn seccomp() -> Seccomp {
        Profile::builtin().resolve(&[])
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
        assert_eq!(compiled, compile(&seccomp).unwrap());
        let file = file(&cache);
        assert_eq!(fs::metadata(&cache.directory).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        // That it is the file's code which comes back shows when the file holds another program.
        let other = [6, 0, 0, 0, 0, 0, 0xff, 0x7f];
        let name = file.file_name().unwrap().to_str().unwrap();
        fs::write(&file, [header(name, &other).as_bytes(), &other].concat()).unwrap();
        assert_eq!(cache.program(&seccomp).unwrap().as_bytes(), other);
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
        for bad in
            [&[][..], &good[..HEADER], &good[..good.len() - 8], &good[..good.len() - 1], &flipped, &foreign]
        {
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
        let other = [6, 0, 0, 0, 0, 0, 0xff, 0x7f];
        let name = file.file_name().unwrap().to_str().unwrap();
        let forged = [header(name, &other).as_bytes(), &other].concat();

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
        assert!(cache.program(&bad).is_err());
    }

    #[test]
    fn keys_tell_profiles_apart() {
        let one = seccomp();
        let mut other = one.clone();
        other.syscalls[0].errno_ret = Some(1);
        assert_ne!(key(&one), key(&other));
        // The same bytes, cut differently.
        let mut names = one.clone();
        let joined = names.syscalls[0].names.split_off(2).concat();
        names.syscalls[0].names.push(joined);
        assert_ne!(key(&one), key(&names));
        assert_eq!(key(&one), key(&one.clone()));
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
