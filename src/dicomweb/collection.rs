//! All bulk values, or all pixel data, of a study, a series or an instance (PS3.18 §10.4.1.1.5,
//! §10.4.1.1.6).

use actix_web::HttpResponse;

use super::call::Call;
use crate::http::Problem;

/// Which values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collection {
    /// Every value that metadata links.
    Bulkdata,
    /// Pixel Data (7FE0,0010), (7FE0,0008) and (7FE0,0009) of the data set itself; no icon.
    Pixeldata,
}

/// Answers GET `…/bulkdata` and `…/pixeldata`.
pub(super) async fn collection(call: &Call, _what: Collection) -> Result<HttpResponse, Problem> {
    call.target()?;
    Err(Problem::not_found())
}
