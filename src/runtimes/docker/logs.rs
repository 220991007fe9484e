//! The last lines of an application's logs. They are the application's words, not masked here.

use bollard::container::LogOutput;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures::StreamExt;
use jiff::Timestamp;
use tokio::time::timeout;

use super::engine::{DEADLINE, Engine};
use super::error::{is_absent, status, told};
use super::names::SERVICE_LABEL;
use super::observe::by_key;
use crate::domain::app::instance::AppKey;
use crate::runtimes::{LogLine, RuntimeError};

/// Longest line that is kept, in octets.
const LONGEST: usize = 16 << 10;

/// The last `lines` of all services, or of one, oldest first.
pub async fn logs(
    engine: &Engine,
    key: &AppKey,
    service: Option<&str>,
    lines: u32,
) -> Result<Vec<LogLine>, RuntimeError> {
    let mut all = Vec::new();
    for container in engine.containers(&by_key(key)).await? {
        let name = container.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL)).cloned();
        let (Some(name), Some(id)) = (name, container.id) else { continue };
        if service.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let read = read(engine, &id, lines).await?;
        all.extend(read.into_iter().map(|(time, text)| (time, LogLine { service: name.clone(), text })));
    }
    all.sort_by_key(|(time, _)| *time);
    let first = all.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
    Ok(all.into_iter().skip(first).map(|(_, line)| line).collect())
}

/// The last line that a container wrote.
pub async fn last_line(engine: &Engine, id: &str) -> Option<String> {
    let read = read(engine, id, 5).await.unwrap_or_default();
    read.into_iter().rev().map(|(_, text)| text).find(|text| !text.trim().is_empty())
}

async fn read(
    engine: &Engine,
    id: &str,
    lines: u32,
) -> Result<Vec<(Option<Timestamp>, String)>, RuntimeError> {
    let options: LogsOptions =
        LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).tail(&lines.to_string()).build();
    let mut stream = engine.docker.logs(id, Some(options));
    let what = "read logs";
    let collected = timeout(DEADLINE, async {
        let mut text = Vec::new();
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => text.push(piece),
                // Removed meanwhile, or its log goes where the engine can't read it.
                Err(error) if is_absent(&error) || matches!(status(&error), Some(409 | 501)) => break,
                Err(error) => return Err(told(what, &error)),
            }
        }
        Ok(text)
    });
    let pieces = match collected.await {
        Ok(pieces) => pieces?,
        Err(_) => return Err(told(what, &bollard::errors::Error::RequestTimeoutError)),
    };
    Ok(pieces.into_iter().map(LogOutput::into_bytes).flat_map(|piece| parse(&piece)).collect())
}

fn parse(piece: &[u8]) -> Vec<(Option<Timestamp>, String)> {
    let text = String::from_utf8_lossy(piece);
    text.lines()
        .map(|line| {
            let (time, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (time, rest) = match time.parse::<Timestamp>() {
                Ok(time) => (Some(time), rest),
                Err(_) => (None, line),
            };
            let mut end = rest.len().min(LONGEST);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            (time, rest.get(..end).unwrap_or_default().to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parted_from_its_time() {
        let read = parse(b"2026-11-21T15:15:36.451412123Z hello world\r\nno time \xff\n");
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].0.is_some(), read[0].1.as_str()), (true, "hello world"));
        assert_eq!(read[1], (None, "no time \u{fffd}".to_owned()));
        assert_eq!(parse(&[b'x'; 40_000])[0].1.len(), LONGEST);
    }
}
