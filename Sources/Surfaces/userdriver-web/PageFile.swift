// The page's own files, which lie in the program.

struct PageFile: Sendable {
    let type: String
    let bytes: [UInt8]

    static let all: [String: PageFile] = [
        "/": PageFile(type: "text/html; charset=utf-8", bytes: PackageResources.index_html),
        "/page.css": PageFile(type: "text/css; charset=utf-8", bytes: PackageResources.page_css),
        "/page.js": PageFile(type: "text/javascript; charset=utf-8", bytes: PackageResources.page_js),
    ]
}
