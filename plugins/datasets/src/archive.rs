//! A published `.tar.gz`: found unpacked, unpacked where only the archive is there, downloaded where the config says so.
//! Only the members that are known by name are unpacked, each up to its known size.

use crate::{
    download::{self, Download},
    names,
};
use flate2::read::GzDecoder;
use infomax_sdk::{Error, Result};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// A published archive.
pub(crate) struct Archive {
    /// The folder inside.
    pub folder: &'static str,
    /// Its file name.
    pub file: &'static str,
    /// The well-known place.
    pub url: &'static str,
    /// As published.
    pub md5: &'static str,
    /// Of the archive.
    pub bytes: u64,
    /// The files inside the folder that are used.
    pub members: &'static [&'static str],
    /// Bytes of the largest member.
    pub largest_member: u64,
}

impl Archive {
    /// The folder with the members.
    ///
    /// # Errors
    /// Neither folder nor archive is there and no download is asked for; the archive is damaged.
    pub fn provide(&self, root: &Path, download: bool, url: Option<&str>) -> Result<PathBuf> {
        let folder = root.join(self.folder);
        if folder.is_dir() {
            return Ok(folder);
        }
        if self.members.iter().any(|member| root.join(member).is_file()) {
            return Ok(root.to_owned()); // `root` names the folder itself
        }
        let file = root.join(self.file);
        if !file.is_file() {
            if !download {
                let (root, name, file) = (names::path(root), self.folder, self.file);
                return Err(Error::data(format!("neither `{name}` nor `{file}` is in `{root}`"))
                    .hint(format!("set `download = true`, or put the archive there: {}", self.url)));
            }
            fs::create_dir_all(root)
                .map_err(|cause| Error::data(format!("can't create `{}`", names::path(root))).caused_by(&cause))?;
            let url = url.unwrap_or(self.url);
            Download { url, target: &file, md5: self.md5, retries: download::RETRIES }.run()?;
        }
        self.unpack(&file, &folder)?;
        Ok(folder)
    }

    /// Into a temporary sibling first, so that a folder of the right name is complete.
    fn unpack(&self, file: &Path, folder: &Path) -> Result<()> {
        log::info!("unpacking `{}`", names::path(file));
        let temporary = folder.with_extension(format!("unpacking-{}", std::process::id()));
        let result = fs::create_dir_all(&temporary).and_then(|()| self.extract(file, &temporary));
        let result = result.and_then(|found| {
            if found == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "none of the expected files is inside"));
            }
            // Another process may have been faster: then its folder is as good.
            fs::rename(&temporary, folder).or_else(|cause| if folder.is_dir() { Ok(()) } else { Err(cause) })
        });
        if temporary.exists() {
            let _ = fs::remove_dir_all(&temporary);
        }
        result.map_err(|cause| {
            Error::data(format!("can't unpack `{}`", names::path(file)))
                .caused_by(&cause)
                .hint("remove the archive and fetch it again; unpacking needs a folder that can be written")
        })
    }

    fn extract(&self, file: &Path, folder: &Path) -> io::Result<usize> {
        let mut archive = tar::Archive::new(GzDecoder::new(File::open(file)?));
        let mut found = 0;
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.file_name().unwrap_or_default().to_owned();
            let Some(member) = self.members.iter().find(|&&member| name == member) else { continue };
            if !entry.header().entry_type().is_file() {
                continue;
            }
            if entry.size() > self.largest_member {
                let message = format!("`{member}` is announced with {} bytes", entry.size());
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            let mut target = File::create(folder.join(member))?;
            io::copy(&mut entry.by_ref().take(self.largest_member), &mut target)?;
            target.sync_all()?;
            found += 1;
        }
        Ok(found)
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    const TOY: Archive = Archive {
        folder: "toy",
        file: "toy.tar.gz",
        url: "http://unused",
        md5: "",
        bytes: 0,
        members: &["a.bin", "b.bin"],
        largest_member: 100,
    };

    fn pack(root: &Path, entries: &[(&str, &[u8])]) {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes()); // unchecked: `..` too
            header.set_cksum();
            tar.append(&header, *bytes).expect("appended");
        }
        fs::write(root.join("toy.tar.gz"), tar.into_inner().expect("tar").finish().expect("gz")).expect("written");
    }

    #[test]
    fn an_archive_is_unpacked_once_and_only_known_names() {
        let root = tempfile::tempdir().expect("a folder");
        pack(root.path(), &[("toy/a.bin", b"one"), ("toy/evil.sh", b"x"), ("../../b.bin", b"two")]);
        let folder = TOY.provide(root.path(), false, None).expect("unpacked");
        assert_eq!(fs::read(folder.join("a.bin")).expect("a"), b"one");
        assert_eq!(fs::read(folder.join("b.bin")).expect("inside the folder"), b"two");
        assert_eq!(fs::read_dir(&folder).expect("listed").count(), 2);
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 2);
        assert_eq!(TOY.provide(root.path(), false, None).expect("found"), folder);
    }

    #[test]
    fn d14_a_damaged_or_huge_archive_leaves_nothing_behind() {
        let root = tempfile::tempdir().expect("a folder");
        pack(root.path(), &[("toy/a.bin", &[1; 101])]);
        let error = TOY.provide(root.path(), false, None).expect_err("too large");
        assert!(error.to_string().contains("`a.bin` is announced with 101 bytes"), "{error}");
        pack(root.path(), &[("toy/a.bin", &[1; 100])]);
        let packed = root.path().join("toy.tar.gz");
        let bytes = fs::read(&packed).expect("read");
        for length in 0..bytes.len() {
            fs::write(&packed, &bytes[..length]).expect("written");
            if TOY.provide(root.path(), false, None).is_ok() {
                // Only the end of the archive is cut, the members are whole.
                assert_eq!(fs::read(root.path().join("toy/a.bin")).expect("read"), [1; 100]);
                fs::remove_dir_all(root.path().join("toy")).expect("removed");
            }
            assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 1, "cut at {length}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_source() {
        let root = tempfile::tempdir().expect("a folder");
        let error = TOY.provide(root.path(), false, None).expect_err("nothing there");
        assert!(error.message.starts_with("neither `toy` nor `toy.tar.gz` is in"));
        assert!(error.hint.expect("a hint").contains("http://unused"));
    }
}
