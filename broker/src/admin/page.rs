//! The dashboard: a page that is part of the program. It shows what the rest of the admin server
//! says, so whoever opens it sees no more than with the token that they give it.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::packed::{Packed, packed, says};

/// Where the page is.
pub(crate) const PAGE_PATH: &str = "/";

/// A file of the page.
#[derive(Clone, Copy)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: Packed,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const ICON: &str = "image/svg+xml";

const ASSETS: [Asset; 17] = [
    Asset::new(PAGE_PATH, HTML, packed!("index.html")),
    Asset::new("/dashboard/icon.svg", ICON, packed!("icon.svg")),
    Asset::new("/dashboard/style.css", STYLE, packed!("style.css")),
    Asset::new("/dashboard/api.js", SCRIPT, packed!("api.js")),
    Asset::new("/dashboard/app.js", SCRIPT, packed!("app.js")),
    Asset::new("/dashboard/chart.js", SCRIPT, packed!("chart.js")),
    Asset::new("/dashboard/clients.js", SCRIPT, packed!("clients.js")),
    Asset::new("/dashboard/connection.js", SCRIPT, packed!("connection.js")),
    Asset::new("/dashboard/devices.js", SCRIPT, packed!("devices.js")),
    Asset::new("/dashboard/dom.js", SCRIPT, packed!("dom.js")),
    Asset::new("/dashboard/format.js", SCRIPT, packed!("format.js")),
    Asset::new("/dashboard/overview.js", SCRIPT, packed!("overview.js")),
    Asset::new("/dashboard/publish.js", SCRIPT, packed!("publish.js")),
    Asset::new("/dashboard/rules.js", SCRIPT, packed!("rules.js")),
    Asset::new("/dashboard/store.js", SCRIPT, packed!("store.js")),
    Asset::new("/dashboard/topics.js", SCRIPT, packed!("topics.js")),
    Asset::new("/dashboard/upstreams.js", SCRIPT, packed!("upstreams.js")),
];

/// What the page may do: run and fetch what comes from here, and nothing that stands in the page
/// itself, so that a name that was taken for markup would still not run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its parts.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.into_iter().fold(Router::new(), |router, asset| {
        let etag = asset.content.etag();
        router.route(
            asset.path,
            get(move |headers: HeaderMap| {
                let answer = asset.answer(&etag, &headers);
                async { answer }
            }),
        )
    })
}

impl Asset {
    const fn new(path: &'static str, content_type: &'static str, content: Packed) -> Self {
        Self { path, content_type, content }
    }

    fn answer(&self, etag: &HeaderValue, asked: &HeaderMap) -> Response {
        let mut headers = HeaderMap::new();
        let fixed = [
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CONTENT_TYPE, self.content_type),
            (header::VARY, "Accept-Encoding"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::ETAG, etag.clone());
        if says(asked, header::IF_NONE_MATCH, etag.to_str().unwrap_or("*")) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        self.content.answer(headers, asked)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_page_is_small_and_packed_without_loss() {
        let mut bytes = 0;
        for asset in &ASSETS {
            let name = if asset.path == PAGE_PATH { "/dashboard/index.html" } else { asset.path };
            let file = format!("{}/src{name}", env!("CARGO_MANIFEST_DIR"));
            let text = fs::read_to_string(file).expect("a file of the repository");
            assert_eq!(asset.content.text(), text, "{}", asset.path);
            bytes += text.len();
        }
        assert!(bytes < 200_000, "{bytes} bytes");
    }

    #[test]
    fn an_asset_that_is_known_is_not_sent_again() {
        let asset = &ASSETS[0];
        let etag = asset.content.etag();
        let mut asked = HeaderMap::new();
        let code = |asked: &HeaderMap| asset.answer(&etag, asked).status();
        assert_eq!(code(&asked), StatusCode::OK);
        asked.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"0\""));
        assert_eq!(code(&asked), StatusCode::OK);
        asked.insert(header::IF_NONE_MATCH, etag.clone());
        assert_eq!(code(&asked), StatusCode::NOT_MODIFIED);
    }

    /// What the policy would not let run must not be there.
    #[test]
    fn nothing_in_the_page_is_inline() {
        let page = ASSETS[0].content.text();
        for inline in ["<style", "style=", "onclick", "javascript:", "http://", "https://"] {
            assert!(!page.contains(inline), "{inline}");
        }
        let scripts = ASSETS.iter().filter(|asset| asset.content_type == SCRIPT);
        for script in scripts {
            let text = script.content.text();
            for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"] {
                assert!(!text.contains(markup), "{}: {markup}", script.path);
            }
        }
    }
}
