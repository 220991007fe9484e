//! From AppInstall until AppStatus says `running`, against `docker-compose up -d` with the same document and images on the
//! same engine plus its own readiness. Two of the applications have health checks, which the engine runs every five
//! seconds for both sides; the third has none, so that nothing hides what we add.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use super::compose::{Project, Shared};
use super::engine::tool;
use super::operator::Operator;
use crate::measure::Pairs;
use crate::plane::directory;
use crate::report::{Figure, Promise};

/// The name of whatever is installed.
const NAME: &str = "figuresinstall";
/// A web server that nobody checks but we.
const PLAIN: &str = "services:\n  web:\n    image: $W9_REPO:$W9_VERSION\n    container_name: $W9_ID\n    \
    restart: unless-stopped\n    ports: ['$W9_HTTP_PORT_SET:80']\n\
networks:\n  default:\n    name: $W9_NETWORK\n    external: true\n";
const PLAIN_ENV: &str = "W9_REPO=nginx\nW9_DIST=community\nW9_VERSION=1.28\nW9_ID=plain\nW9_NETWORK=websoft9\n\
W9_HTTP_PORT=80\nW9_HTTP_PORT_SET=9001\n";

struct Case {
    what: &'static str,
    app: &'static str,
    version: &'static str,
    /// It has no health check.
    plain: bool,
    turns: usize,
}

const CASES: [Case; 3] = [
    Case {
        what: "install of nginx without a health check",
        app: "plain",
        version: "1.28",
        plain: true,
        turns: 7,
    },
    Case { what: "install of redis", app: "redis", version: "8.2", plain: false, turns: 3 },
    Case {
        what: "install of wordpress with mariadb",
        app: "wordpress",
        version: "6.8",
        plain: false,
        turns: 3,
    },
];

/// Writes a template.
pub fn template(catalog: &Path, name: &str, version: &str, compose: &str, env: &str) -> anyhow::Result<()> {
    let folder = catalog.join(name);
    let metadata = serde_json::json!({
        "name": name, "trademark": name, "release": true,
        "edition": [{"dist": "community", "version": [version]}],
        "requirements": {"cpu": "1", "memory": "0.01", "disk": "0.01"},
    });
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("docker-compose.yml"), compose)?;
    fs::write(folder.join(".env"), env)?;
    fs::write(folder.join("variables.json"), metadata.to_string())?;
    Ok(())
}

async fn ours(operator: &Operator, case: &Case) -> anyhow::Result<f64> {
    let began = Instant::now();
    operator.install(case.app, NAME, case.version).await?;
    operator.runs(NAME).await?;
    let took = began.elapsed().as_secs_f64();
    operator.uninstall(NAME).await?;
    Ok(took)
}

async fn theirs(project: &Project) -> anyhow::Result<f64> {
    let began = Instant::now();
    project.up().await?;
    let took = began.elapsed().as_secs_f64();
    project.down()?;
    Ok(took)
}

/// The same document for the other side: of an install that is not measured, and warms what is cold.
async fn project(operator: &Operator, case: &Case, host: &str) -> anyhow::Result<Project> {
    operator.install(case.app, NAME, case.version).await?;
    operator.runs(NAME).await?;
    let list = operator.list().await?;
    let port = list.iter().find_map(|app| app["running_info"]["port"].as_u64());
    let port = port.map(u16::try_from).transpose()?.filter(|_| case.plain);
    let project = Project::of(&operator.site.dir.join("apps").join(NAME), host, port)?;
    operator.uninstall(NAME).await?;
    Ok(project)
}

fn measure(runtime: &Runtime, operator: &Operator, case: &Case, host: &str) -> anyhow::Result<Figure> {
    let project = runtime.block_on(project(operator, case, host)).context(case.app)?;
    let (mut all_ours, mut all_theirs) = (Vec::new(), Vec::new());
    let pairs = Pairs::measure(
        case.turns,
        || {
            let took = runtime.block_on(ours(operator, case))?;
            all_ours.push(format!("{took:.2}"));
            Ok(took)
        },
        || {
            let took = runtime.block_on(theirs(&project))?;
            all_theirs.push(format!("{took:.2}"));
            Ok(took)
        },
    )?;
    let (mine, baseline) = pairs.medians();
    Ok(Figure {
        what: case.what,
        measured: pairs.ratio(),
        unit: "x",
        promise: Promise::AtMost(1.15),
        ratio: (pairs.ratio(), "docker-compose up -d and its readiness"),
        raw: format!(
            "{mine:.2} s, docker-compose {baseline:.2} s; ours {}; theirs {}",
            all_ours.join(" "),
            all_theirs.join(" ")
        ),
    })
}

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let host = tool("engine.sh", &[], None)?;
    tool("images.sh", &["nginx", "redis", "mariadb", "wordpress"], Some(&host))?;
    let _shared = Shared::at(&host)?;
    let dir = directory()?;
    let catalog = dir.path().join("catalog");
    template(&catalog, "plain", "1.28", PLAIN, PLAIN_ENV)?;
    let runtime = Runtime::new()?;
    let catalog = catalog.to_string_lossy().into_owned();
    let (site, args) = (dir.path().join("site"), ["--catalog", catalog.as_str()]);
    let operator = runtime.block_on(Operator::start(&site, &host, &args))?;
    let figures = CASES.iter().map(|case| measure(&runtime, &operator, case, &host)).collect();
    if runtime.block_on(operator.list())?.iter().any(|app| app["app_id"] == NAME) {
        runtime.block_on(operator.uninstall(NAME))?;
    }
    figures
}
