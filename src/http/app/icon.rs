//! Pictures of applications: a small drawing with the name's initials. No trademark of anybody's is in the program.

use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};

/// Longest name that gets a picture; the catalogue has no longer ones.
const LONGEST: usize = 63;

/// Answers `<app_name>.svg`. It asks for no token: pictures are fetched by browsers, and the name is all they tell.
pub(super) async fn icon(Path(file): Path<String>) -> Response {
    let drawn = file.strip_suffix(".svg").and_then(svg);
    let status = if drawn.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Body::from(drawn.unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml;charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The picture of `name`: initials on a colour that its letters choose. None: it is no name of an application.
fn svg(name: &str) -> Option<String> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if name.is_empty() || LONGEST < name.len() || !name.bytes().all(plain) {
        return None;
    }
    let hue = name.bytes().fold(7u32, |sum, c| sum.wrapping_mul(31).wrapping_add(c.into())) % 360;
    let initials: String = name.split('-').filter_map(|part| part.chars().next()).take(2).collect();
    let initials = match initials.len() {
        0 | 1 => name.chars().take(2).collect(),
        _ => initials,
    };
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\" role=\"img\" aria-label=\"{name}\">\
         <rect width=\"64\" height=\"64\" rx=\"14\" fill=\"hsl({hue},55%,42%)\"/>\
         <text x=\"32\" y=\"33\" fill=\"#fff\" font-family=\"sans-serif\" font-size=\"28\" text-anchor=\"middle\" \
         dominant-baseline=\"central\">{}</text></svg>",
        initials.to_uppercase()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_shows_initials_and_nothing_that_was_sent() {
        assert!(svg("wordpress").unwrap().contains(">WO<"));
        assert!(svg("uptime-kuma").unwrap().contains(">UK<"));
        for bad in ["", "<script>", "../x", "A", "a\"b", &"a".repeat(64)] {
            assert_eq!(svg(bad), None, "{bad}");
        }
    }
}
