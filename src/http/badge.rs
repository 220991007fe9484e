//! The badge: an SVG of 20 px height with the node's name and how many nodes live. Pure but for its handler.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};

use crate::http::state::ApiState;

/// Most characters of a name that are shown; a longer one ends in an ellipsis.
const MAX_NAME: usize = 40;

/// The node's badge.
#[utoipa::path(get, path = "/v1/badge", summary = "This node's badge",
    description = "Left CocoaSyncer, right the node's name and living nodes of all; for an img element.",
    responses((status = 200, description = "image/svg+xml;charset=utf-8")))]
pub async fn badge(State(state): State<Arc<ApiState>>) -> Response {
    let since = Instant::now();
    let mut response = Response::new(Body::from(state.snapshot().badge()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml;charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    state.routes().badge.answered("200", since.elapsed());
    response
}

/// The badge's text; whatever the name holds, it is text and nothing else.
pub fn svg(node_name: &str, live: usize, total: usize) -> String {
    let right = format!("{} | {live}/{total}", shortened(node_name));
    let (left_width, right_width) = (width("CocoaSyncer") + 10, width(&right) + 10);
    let total_width = left_width + right_width;
    let colour = match live {
        0 => "#e05d44",
        live if live < total => "#dfb317",
        _ => "#4c1",
    };
    let right = escaped(&right);
    let label = |x: u32, text: &str, length: u32| {
        format!(
            "<text x=\"{x}\" y=\"15\" fill=\"#010101\" fill-opacity=\".3\" textLength=\"{length}\" aria-hidden=\"true\">{text}</text>\
             <text x=\"{x}\" y=\"14\" textLength=\"{length}\">{text}</text>"
        )
    };
    let left_text = label(left_width / 2, "CocoaSyncer", left_width - 10);
    let right_text = label(left_width + right_width / 2, &right, right_width - 10);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total_width}\" height=\"20\" role=\"img\" \
         aria-label=\"CocoaSyncer: {right}\"><title>CocoaSyncer: {right}</title>\
         <linearGradient id=\"s\" x2=\"0\" y2=\"100%\"><stop offset=\"0\" stop-color=\"#bbb\" stop-opacity=\".1\"/>\
         <stop offset=\"1\" stop-opacity=\".1\"/></linearGradient>\
         <clipPath id=\"r\"><rect width=\"{total_width}\" height=\"20\" rx=\"3\" fill=\"#fff\"/></clipPath>\
         <g clip-path=\"url(#r)\"><rect width=\"{left_width}\" height=\"20\" fill=\"#555\"/>\
         <rect x=\"{left_width}\" width=\"{right_width}\" height=\"20\" fill=\"{colour}\"/>\
         <rect width=\"{total_width}\" height=\"20\" fill=\"url(#s)\"/></g>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,Geneva,DejaVu Sans,sans-serif\" font-size=\"11\">\
         {left_text}{right_text}</g></svg>"
    )
}

fn shortened(name: &str) -> String {
    // XML has no place for control characters, not even escaped.
    let shown: Vec<char> =
        name.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
    match shown.len() <= MAX_NAME {
        true => shown.into_iter().collect(),
        false => shown.into_iter().take(MAX_NAME - 1).chain(['…']).collect(),
    }
}

/// Pixels of a text in Verdana 11, near enough that `textLength` need not stretch it visibly.
fn width(text: &str) -> u32 {
    let tenths = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | '|' | '!' | '\'' | ' ' => 40,
        'f' | 'r' | 't' | '(' | ')' | '/' | '-' => 46,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 100,
        'A'..='Z' => 76,
        c if c.is_ascii() => 68,
        // East Asian scripts, full-width forms and emoji fill the em square.
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' => 112,
        '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ff60}' => 112,
        '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}' => 112,
        _ => 72,
    };
    text.chars().map(tenths).sum::<u32>().div_ceil(10)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total_width(svg: &str) -> u32 {
        svg.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    }

    #[test]
    fn a_badge_shows_who_lives_and_its_colour_how_well() {
        let all = svg("Shanghai", 3, 3);
        assert!(all.contains(">Shanghai | 3/3</text>") && all.contains("#4c1"), "{all}");
        assert!(svg("Shanghai", 2, 3).contains("#dfb317"));
        assert!(svg("Shanghai", 0, 3).contains("#e05d44"));
        assert!(all.starts_with("<svg ") && all.contains("height=\"20\""));
    }

    #[test]
    fn a_name_is_text_whatever_it_holds() {
        let bad = svg("<script>alert(\"1\")</script>&'\u{1b}\u{0}", 1, 1);
        assert!(!bad.contains("<script") && !bad.contains('\u{1b}') && !bad.contains('\u{0}'), "{bad}");
        assert!(bad.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39; | 1/1"), "{bad}");
    }

    #[test]
    fn the_width_follows_the_text() {
        assert!(total_width(&svg("上海电信机房", 1, 1)) > total_width(&svg("abcdef", 1, 1)));
        let long = svg(&"x".repeat(500), 1, 1);
        assert!(long.contains("… | 1/1") && total_width(&long) < 500);
    }
}
