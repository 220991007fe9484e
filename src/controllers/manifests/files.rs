//! The folders' files as text. What can't be read is said, and makes the reading incomplete.

use std::io;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use tracing::warn;

/// No manifest is larger; what is, is somebody's mistake.
const FILE_LIMIT: u64 = 8 << 20;

/// All files of all folders in the order of their names, and whether every one could be read.
pub async fn files(folders: &[PathBuf]) -> (Vec<(String, String)>, bool) {
    let mut all = Vec::new();
    let mut complete = true;
    for folder in folders {
        match names(folder).await {
            Ok(paths) => {
                for path in paths {
                    match text(&path).await {
                        Ok(text) => all.push((path.display().to_string(), text)),
                        Err(error) => {
                            warn!(file = %path.display(), error = %error, "can't be read; nothing is deleted meanwhile");
                            complete = false;
                        }
                    }
                }
            }
            Err(error) => {
                warn!(folder = %folder.display(), error = %error, "can't be read; nothing is deleted meanwhile");
                complete = false;
            }
        }
    }
    (all, complete)
}

async fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = tokio::fs::read_dir(folder).await?;
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let kind = path.extension().and_then(|ext| ext.to_str()).unwrap_or_default();
        if !hidden && matches!(kind, "yaml" | "yml" | "json") && tokio::fs::metadata(&path).await?.is_file() {
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}

async fn text(path: &Path) -> io::Result<String> {
    let length = tokio::fs::metadata(path).await?.len();
    if FILE_LIMIT < length {
        let what = format!("has {length} bytes, at most {FILE_LIMIT} are read");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    tokio::fs::read_to_string(path).await
}

/// Tells two contents of the folders apart.
pub fn digest(files: &[(String, String)]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in files.iter().flat_map(|(name, text)| [name, text]) {
        context.update(&part.len().to_le_bytes());
        context.update(part.as_bytes());
    }
    context.finish().as_ref().to_vec()
}
