//! `probe` asks a running node from outside, as the chart's test and a container's health check do.

use crate::support::process::Site;

#[tokio::test]
async fn a_node_that_answers_everywhere_is_told_from_one_that_does_not() {
    let mut site = Site::leader("a", &[]).await;
    let at = site.at;
    let (api, ops) = (format!("http://{}", at.api), format!("http://{}/", at.ops));
    let said = site.cli(&["probe", "--api", &api, "--ops", &ops, "--dns", &at.dns.to_string()]).await.done();
    for part in ["/v1/status answers", "/readyz answers", "answers by UDP and by TCP"] {
        assert!(said.contains(part), "{said}");
    }
    // A port of HTTP is no DNS server, and the reverse.
    site.cli(&["probe", "--dns", &at.api.to_string()]).await.refused(1, &[&at.api.to_string()]);
    site.cli(&["probe", "--api", &format!("http://{}", at.dns)]).await.refused(1, &[&at.dns.to_string()]);
    site.cli(&["probe", "--ops", &format!("{api}/nowhere")]).await.refused(1, &["404"]);
    site.kill();
    site.cli(&["probe", "--ops", &ops, "--within", "1"]).await.refused(1, &[&at.ops.to_string()]);
    site.cli(&["probe"]).await.refused(2, &["--api", "--dns"]);
}
