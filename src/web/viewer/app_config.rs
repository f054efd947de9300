//! `app-config.js`: what OHIF reads at its start (its documentation, "Configuration Files"). Made for
//! each caller, because it names the address under which the caller reached us.

use actix_web::HttpResponse;
use actix_web::http::header;
use serde_json::json;

use super::path_of;

/// The script.
pub(super) fn answer(base: &str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/javascript; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(script(path_of(base)))
}

/// `prefix` is what a proxy puts before our paths. The host is left to the browser, which knows better
/// than we do how it got here.
fn script(prefix: &str) -> String {
    let viewer = format!("{prefix}/viewer/");
    let config = json!({
        "name": "overread",
        "routerBasename": format!("{prefix}/viewer"),
        "extensions": [],
        "modes": [],
        "customizationService": {},
        "showStudyList": true,
        "maxNumberOfWebWorkers": 3,
        "showLoadingIndicator": true,
        "showWarningMessageForCrossOrigin": true,
        "showCPUFallbackMessage": true,
        "strictZSpacingForVolumeViewport": true,
        "groupEnabledModesFirst": true,
        "allowMultiSelectExport": false,
        "maxNumRequests": {"interaction": 100, "thumbnail": 75, "prefetch": 25},
        "showErrorDetails": "always",
        "investigationalUseDialog": {"option": "never"},
        "defaultDataSourceName": "overread",
        "dataSources": [{
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "overread",
            "configuration": {
                "friendlyName": "Overread",
                "name": "overread",
                "qidoSupportsIncludeField": true,
                "supportsReject": false,
                "imageRendering": "wadors",
                // Not "rendered", which of a video is the video.
                "thumbnailRendering": "thumbnail",
                "thumbnailRequestStrategy": "fetch",
                "enableStudyLazyLoad": true,
                "supportsFuzzyMatching": true,
                "supportsWildcard": true,
                "staticWado": false,
                "singlepart": "bulkdata,video,pdf",
                "dicomUploadEnabled": true,
                "bulkDataURI": {"enabled": true},
                "omitQuotationForMultipartRequest": true,
            },
        }],
    });
    let (viewer, prefix) = (json!(viewer), json!(prefix));
    format!(
        "// Made by Overread for this address.\n\
         console.time('scriptToView');\n\
         window.PUBLIC_URL = {viewer};\n\
         window.browserImportFunction = (name) => import(name);\n\
         window.config = {config};\n\
         (function () {{\n\
         \x20 const prefix = window.location.origin + {prefix};\n\
         \x20 const source = window.config.dataSources[0].configuration;\n\
         \x20 source.qidoRoot = source.wadoRoot = source.stowRoot = prefix + '/dicom-web';\n\
         \x20 source.wadoUriRoot = prefix + '/wado';\n\
         }})();\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_a_proxy_is_in_every_address() {
        let plain = script("");
        assert!(plain.contains("window.PUBLIC_URL = \"/viewer/\";"));
        assert!(plain.contains("\"routerBasename\":\"/viewer\""));
        assert!(plain.contains("window.location.origin + \"\";"));
        let behind = script("/pacs");
        assert!(behind.contains("window.PUBLIC_URL = \"/pacs/viewer/\";"));
        assert!(behind.contains("\"routerBasename\":\"/pacs/viewer\""));
        assert!(behind.contains("window.location.origin + \"/pacs\";"));
    }

    #[test]
    fn a_strange_prefix_stays_a_string() {
        assert!(script("/a';alert(1)//\\").contains(r#"origin + "/a';alert(1)//\\";"#));
    }
}
