//! Asking a person: a secret without echo, a yes or no. Where nobody sits at a terminal, a secret is the input's line
//! and a confirmation must have been given by flag.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::cli::error::CliError;
use crate::cli::words::Lang;
use crate::domain::names::FieldError;
use crate::domain::secret::Secret;

/// No secret is longer; what is, is somebody's mistake.
const LIMIT: u64 = 64 << 10;

/// Where a secret comes from.
pub enum From<'a> {
    /// A file; `-` is standard input.
    File(&'a Path),
    /// The person at the terminal, else standard input's next line.
    Person(&'a str),
}

/// A secret from where it lies; surrounding blanks and line ends don't belong to it. `flag` names it in a refusal.
pub fn secret(from: From<'_>, flag: &str) -> Result<Secret, CliError> {
    let text = match from {
        From::File(path) if path == Path::new("-") => line()?,
        From::File(path) => {
            let read = |path: &Path| {
                let mut text = String::new();
                std::fs::File::open(path)?.take(LIMIT).read_to_string(&mut text)?;
                io::Result::Ok(text)
            };
            read(path).map_err(|error| FieldError::new(flag, format!("{}: {error}", path.display())))?
        }
        From::Person(question) if io::stdin().is_terminal() => hidden(question)?,
        From::Person(_) => line()?,
    };
    let secret = Secret::new(text.trim());
    match secret.is_empty() {
        true => Err(FieldError::new(flag, "the secret is empty").into()),
        false => Ok(secret),
    }
}

/// Asks `question` unless `yes` was given; nobody to ask is a refusal, so that a script never deletes by accident.
pub fn confirm(question: &str, yes: bool, lang: Lang) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let why = lang.pick("is needed where nobody can be asked", "无人可确认时必须给出");
        return Err(FieldError::new("--yes", why).into());
    }
    ask(&format!("{question} [y/N] "))?;
    let answer = line()?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" | "是" => Ok(()),
        _ => Err(CliError::failed(lang.pick("not confirmed; nothing was changed", "未确认,未做任何变更"))),
    }
}

/// Questions go to standard error, so that standard output stays a listing.
fn ask(question: &str) -> Result<(), CliError> {
    let mut err = io::stderr();
    err.write_all(question.as_bytes())?;
    err.flush()?;
    Ok(())
}

fn line() -> Result<String, CliError> {
    let mut text = String::new();
    io::stdin().lock().take(LIMIT).read_line(&mut text).map_err(anyhow::Error::from)?;
    Ok(text)
}

fn hidden(question: &str) -> Result<String, CliError> {
    ask(question)?;
    let text = {
        let _silence = Silence::begin().map_err(anyhow::Error::from)?;
        typed(&mut io::stdin().lock())?
    };
    ask("\n")?;
    Ok(text)
}

/// The terminal without echo; it is put right again whatever happens.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        // Signals are off as well: an interrupt that ended the process here would leave the terminal mute.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// Reads keys until Enter: backspace takes one back, Ctrl-U all, Ctrl-C and Ctrl-D give up.
fn typed(keys: &mut impl Read) -> Result<String, CliError> {
    let given_up = || CliError::failed("given up; nothing was changed");
    let mut text: Vec<u8> = Vec::new();
    let mut key = [0u8];
    loop {
        if keys.read(&mut key).map_err(anyhow::Error::from)? == 0 {
            break;
        }
        match key[0] {
            b'\r' | b'\n' => break,
            0x03 => return Err(given_up()),
            0x04 if text.is_empty() => return Err(given_up()),
            0x04 => break,
            0x15 => text.clear(),
            0x08 | 0x7f => {
                // A character may have several octets.
                while text.pop().is_some_and(|octet| octet & 0xC0 == 0x80) {}
            }
            octet => text.push(octet),
        }
    }
    String::from_utf8(text).map_err(|_| CliError::failed("what was typed is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_a_terminal_would() {
        let read = |keys: &str| typed(&mut keys.as_bytes()).map_err(|err| err.to_string());
        assert_eq!(read("hunter2\rrest"), Ok("hunter2".into()));
        assert_eq!(read("abc\u{7f}d\n"), Ok("abd".into()));
        assert_eq!(read("心爱\u{7f}\n"), Ok("心".into()));
        assert_eq!(read("wrong\u{15}right\n"), Ok("right".into()));
        assert!(read("half\u{3}").is_err());
    }

    #[test]
    fn a_secret_file_is_read_without_its_line_end_and_an_empty_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "hunter2\n").unwrap();
        assert_eq!(secret(From::File(&file), "--secret-file").unwrap(), Secret::new("hunter2"));
        std::fs::write(&file, "\n").unwrap();
        let err = secret(From::File(&file), "--secret-file").unwrap_err();
        assert_eq!(err.to_string(), "--secret-file: the secret is empty");
        assert!(secret(From::File(&folder.path().join("none")), "--secret-file").is_err());
    }
}
