// The page's own files, which lie in the program.

struct PageFile: Sendable {
    let type: String
    let bytes: [UInt8]

    static let all: [String: PageFile] = [
        "/": PageFile(type: "text/html; charset=utf-8", bytes: PackageResources.index_html),
        "/page.css": PageFile(type: "text/css; charset=utf-8", bytes: PackageResources.page_css),
        "/page.js": script(PackageResources.page_js),
        "/camera.js": script(PackageResources.camera_js),
        "/scanner.js": script(PackageResources.scanner_js),
    ]

    private static func script(_ bytes: [UInt8]) -> PageFile { PageFile(type: "text/javascript; charset=utf-8", bytes: bytes) }
}
