//! A process that dies between any two calls, before or after the last was heard: the next one finds what is there, and
//! what is wished for comes true once.

use cocoasyncer::api::vocab::Line;

use super::bench::{Bench, Doomed, Moment, Stranger, not_here};
use super::story::{Sets, Story, sets};

fn start(line: Line) -> Sets {
    sets([
        "www 192.0.2.1",
        &*format!("www/{line} 192.0.2.2"),
        "grows 192.0.2.3",
        "shrinks 192.0.2.4,192.0.2.5",
        "goes 192.0.2.6",
        "goes 2001:db8::6",
    ])
}

fn goal(line: Line) -> Sets {
    sets([
        "www 192.0.2.1",
        &*format!("www/{line} 192.0.2.7 60"),
        "grows 192.0.2.3,192.0.2.8",
        "shrinks 192.0.2.5",
        "fresh 192.0.2.9,192.0.2.10",
        &*format!("fresh/{line} 2001:db8::9"),
        "hand 192.0.2.11",
        "text 192.0.2.11",
    ])
}

pub async fn a_crash_between_any_two_calls_leaves_no_trace(bench: Box<dyn Bench>) {
    let mut story = Story::of(bench).await;
    let line = story.lines().into_iter().nth(1).unwrap_or(Line::Default);
    story
        .plant(vec![
            Stranger::new("hand", Line::Default, "A", "192.0.2.101"),
            Stranger::new("text", Line::Default, "TXT", "v=spf1 -all"),
            Stranger::new("fresh", line, "A", "192.0.2.102"),
        ])
        .await;
    let (start, goal) = (start(line), goal(line));
    for moment in [Moment::Before, Moment::After] {
        for calls in 0.. {
            story.begun.clear();
            story.becomes(&start).await;
            let Some(Doomed { provider, dies }) = story.bench.doomed(calls, moment).await else {
                return not_here("nothing can come between its calls, for it makes none");
            };
            story.provider = provider;
            // As the operator does it: what can't be marked at once is noted before it is begun.
            if story.provider.ways().marks_after {
                let news = goal.iter().filter(|(key, _)| !start.contains_key(*key));
                story.begun = news.map(|(key, set)| (key.clone(), set.values.clone())).collect();
            }
            let died = tokio::select! {
                biased;
                () = dies => true,
                _ = story.live(&goal) => false,
            };
            story.restart();
            story.becomes(&goal).await;
            assert!(calls < 100, "it comes to an end");
            if !died {
                assert!(0 < calls);
                break;
            }
        }
    }
}
