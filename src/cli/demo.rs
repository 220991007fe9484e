//! `demo`: three real sites on loopback, one killed and brought back, and what DNS answers meanwhile, asked by real
//! queries of the sites' own name servers. It fails where DNS does not follow in time, so that it can be a test.

mod sites;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::api::vocab::Line;
use crate::cli::Ctx;
use crate::cli::demo::sites::{NAMES, Site, answers, prepare};
use crate::cli::error::CliError;
use crate::cli::output::{Text, Tone};

/// The first answers may take this long, cold disk and all.
const START: Duration = Duration::from_secs(60);
/// A death is followed within this, at default settings.
const FAILOVER: Duration = Duration::from_secs(10);
/// A return is followed within this: five beats, the hold-down of 15 s, and a start.
const RETURN: Duration = Duration::from_secs(40);
/// How often the sites are asked.
const LOOK: Duration = Duration::from_millis(100);

/// What each line gets at each site that is asked; `None`: no answer.
type Seen = BTreeMap<Line, Vec<Option<String>>>;

/// Runs the demo.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Folder for the sites' data; left out: a temporary one, removed at the end
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Starts three sites, kills one, brings it back.
pub async fn demo(args: DemoArgs, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    let lasting = args.data_dir.is_some();
    let dir = args
        .data_dir
        .unwrap_or_else(|| std::env::temp_dir().join(format!("cocoasyncer-demo-{}", std::process::id())));
    let outcome = play(&dir, ctx).await;
    match &outcome {
        Ok(()) if !lasting => {
            std::fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(()) => Ok(ExitCode::SUCCESS),
        // What the sites logged is what one wants to read now.
        Err(_) => outcome.map(|()| ExitCode::FAILURE).map_err(|error| {
            CliError::Failed(
                anyhow::Error::from(error).context(format!("the sites' logs are in {}", dir.display())),
            )
        }),
    }
}

async fn play(dir: &std::path::Path, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let Ctx { out, lang, .. } = ctx;
    let mut stage = Stage { sites: prepare(dir)?, out, began: Instant::now() };
    let say = |en: &'static str, zh: &'static str| lang.pick(en, zh).to_owned();
    stage.say(&say(
        "three sites start: a leads, b and c follow",
        "三个站点启动:a 为 leader,b、c 为 follower",
    ))?;
    for index in 0..stage.sites.len() {
        stage.sites[index].start()?;
    }
    let owners = [
        ("a", Line::Default),
        ("a", Line::CT),
        ("a", Line::OverSea),
        ("b", Line::CU),
        ("b", Line::CMCC),
        ("c", Line::CNEdu),
    ];
    let home: BTreeMap<Line, &str> = owners.into_iter().map(|(site, line)| (line, site)).collect();
    let all = [0, 1, 2];
    stage.follow(&all, START, |line, who| home.get(&line).is_some_and(|site| who == *site)).await?;

    stage.say(&say("b is killed (SIGKILL)", "杀死 b(SIGKILL)"))?;
    stage.sites[1].kill().await?;
    let killed = Instant::now();
    stage
        .follow(&[0, 2], FAILOVER, |line, who| {
            who != "b" && (home.get(&line) == Some(&"b") || home.get(&line) == Some(&who))
        })
        .await?;
    let took = killed.elapsed().as_secs_f64();
    stage.say(&format!(
        "{} {took:.1} s",
        say("from death to every line answered by the living:", "从宕机到所有线路由存活站点应答:")
    ))?;

    stage.say(&say("b starts again; it must prove that it stays", "b 重新启动,须先证明自己稳定"))?;
    stage.sites[1].start()?;
    let back = Instant::now();
    stage.follow(&all, RETURN, |line, who| home.get(&line).is_some_and(|site| who == *site)).await?;
    let took = back.elapsed().as_secs_f64();
    stage.say(&format!(
        "{} {took:.1} s",
        say("from its start to having its lines back:", "从启动到收回线路:")
    ))?;
    for site in &mut stage.sites {
        site.kill().await?;
    }
    Ok(())
}

struct Stage<'a> {
    sites: Vec<Site>,
    out: &'a mut crate::cli::output::Out,
    began: Instant,
}

impl Stage<'_> {
    fn say(&mut self, text: &str) -> Result<(), CliError> {
        self.out.line(format!("[{:5.1} s] {text}", self.began.elapsed().as_secs_f64()))?;
        self.out.flush()
    }

    /// Asks the sites until every line of every name gets what `is_right` wants everywhere; prints each change.
    async fn follow(
        &mut self,
        ask: &[usize],
        within: Duration,
        is_right: impl Fn(Line, &str) -> bool,
    ) -> Result<(), CliError> {
        let deadline = Instant::now() + within;
        let mut shown: Option<Seen> = None;
        loop {
            let seen = self.look(ask).await;
            let right = |(line, who): (&Line, &Vec<Option<String>>)| {
                who.iter().all(|who| who.as_deref().is_some_and(|who| is_right(*line, who)))
            };
            let done = seen.iter().all(right);
            let answered = seen.values().flatten().all(Option::is_some);
            // Before the first full answer there is nothing to compare; half-started sites are no news.
            if shown.as_ref() != Some(&seen) && (done || answered) {
                self.show(ask, &seen)?;
                shown = Some(seen);
            }
            if done {
                return Ok(());
            }
            if deadline < Instant::now() {
                return Err(CliError::failed(format!("DNS did not follow within {} s", within.as_secs())));
            }
            for site in &mut self.sites {
                site.must_run()?;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&self, ask: &[usize]) -> Seen {
        let mut seen = Seen::new();
        for line in Line::ALL {
            let mut row = Vec::new();
            for site in ask.iter().map(|index| &self.sites[*index]) {
                for name in NAMES {
                    let who = answers(site, name, line).await;
                    row.push(who.and_then(|address| self.named(&address)));
                }
            }
            seen.insert(line, row);
        }
        seen
    }

    fn named(&self, address: &str) -> Option<String> {
        self.sites.iter().find(|site| site.public == address).map(|site| site.name.to_owned())
    }

    fn show(&mut self, ask: &[usize], seen: &Seen) -> Result<(), CliError> {
        let cell = |site: usize, who: &[Option<String>]| {
            let Some(Some(name)) = who.first() else { return Text::toned("-", Tone::Bad) };
            let address =
                self.sites.iter().find(|s| s.name == name).map(|s| s.public.clone()).unwrap_or_default();
            let own = ask.get(site).is_some_and(|index| self.sites[*index].name == *name);
            Text::toned(format!("{name} {address}"), if own { Tone::Good } else { Tone::Plain })
        };
        let row = |(line, who): (&Line, &Vec<Option<String>>)| {
            let mut cells = [Text::from(line.as_str()), Text::from(""), Text::from(""), Text::from("")];
            for (column, who) in who.chunks(NAMES.len()).enumerate() {
                cells[column + 1] = cell(column, who);
            }
            cells
        };
        let rows = seen.iter().map(row).collect();
        let heads =
            ask.iter().map(|index| format!("ASKED OF {}", self.sites[*index].name)).collect::<Vec<_>>();
        let head = |index: usize| heads.get(index).map_or("", String::as_str);
        self.say(NAMES[0])?;
        self.out.table(["LINE", head(0), head(1), head(2)], rows)?;
        self.out.flush()
    }
}
