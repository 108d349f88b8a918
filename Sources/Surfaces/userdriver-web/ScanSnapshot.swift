// What the page is told of a scanner's desk.

import ScannerClient
import Wire

struct ScanSnapshot: Encodable {
    /// What a scan is at.
    enum News {
        /// In words; empty if there is nothing to say but that it goes on.
        case words(String)
        case page(ScanPage)
    }
    enum Scan {
        case none
        case scanning(News)
        case ended(ScanEnd)
    }
    struct Page: Encodable {
        /// The object's number, which may be larger than JavaScript's are exact.
        var id: String
        var number: Int
        var name: String
        var type: String
        var sheet: Int
        var side: String
        var bytes: Int
        var sha256: String?
        var resumed: Bool
        var saved: Bool
        var problem: String?

        init(_ page: ScanDesk.Page) {
            let (scanned, object) = (page.scanned, page.scanned.object)
            id = String(page.id)
            number = page.number
            name = page.name
            type = page.format?.mediaType ?? "application/octet-stream"
            (sheet, side) = (scanned.sheet, scanned.side.rawValue)
            (bytes, sha256) = (object.length, object.sha256)
            resumed = scanned.resumed
            saved = page.isSaved
            problem = page.problem
        }
    }

    /// Another one each time that something has changed.
    var version: Int
    var scanning: Bool
    var message: String?
    var coming: ScanPage?
    /// Of the last scan, until the next one begins.
    var end: ScanEnd?
    var pages: [Page]

    init(version: Int, scan: Scan, pages: [ScanDesk.Page]) {
        self.version = version
        self.pages = pages.map(Page.init)
        scanning = false
        switch scan {
        case .none: break
        case .scanning(let news):
            scanning = true
            switch news {
            case .words(let words): message = words
            case .page(let page): coming = page
            }
        case .ended(let end): self.end = end
        }
    }
}
