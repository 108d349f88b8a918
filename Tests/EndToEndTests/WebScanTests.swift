// The page's scan tab, by the requests that the page makes.

import Foundation
import Glibc
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite(.enabled(if: access(Programs.folder + "/userdriver-web", X_OK) == 0, "userdriver-web is not built: run make build"))
    struct WebScan {
        /// What the page is told.
        private struct Desk: Decodable {
            struct Page: Decodable {
                var id: String
                var number: Int
                var name: String
                var type: String
                var sheet: Int
                var bytes: Int
                var sha256: String?
                var saved: Bool
                var problem: String?
            }
            struct Coming: Decodable { var bytes: Int }
            struct End: Decodable {
                var reason: String
                var message: String
                var pages: Int
                var damaged: [Int]
                var lost: Int?
            }
            var version: Int
            var scanning: Bool
            var coming: Coming?
            var end: End?
            var pages: [Page]
        }

        /// A scanner, and the page that shows it.
        private struct Place {
            let bench: Bench
            let site: WebSite
            let device: String

            init(_ options: String...) async throws {
                bench = try await Bench.start(emulating: "scanner", options)
                site = try await WebSite(bench)
                device = try await bench.client.device().id
            }

            /// A path, with the device and what else is asked.
            func path(_ path: String, _ words: String = "") -> String { "\(path)?device=\(device)" + (words.isEmpty ? "" : "&" + words) }

            func begin(_ words: String) async throws -> HTTPAnswer { try await site.ask(path("/api/scan", words), method: "POST") }

            func desk(besides version: Int? = nil) async throws -> Desk {
                let answer = try await site.ask(path("/api/scan", version.map { "besides=\($0)" } ?? ""))
                try #require(answer.status == 200, "\(answer.text)")
                return try JSONDecoder().decode(Desk.self, from: answer.body)
            }

            /// As the page does: each answer comes when there is something new.
            func follow(until isSo: (Desk) -> Bool) async throws -> Desk {
                var desk = try await desk()
                while !isSo(desk) { desk = try await self.desk(besides: desk.version) }
                return desk
            }

            func stop() async throws {
                _ = try await site.server.stop()
                try await bench.stop()
            }
        }

        @Test func `two sheets are scanned, looked at, saved and removed`() async throws {
            let place = try await Place("--sheets", "2")
            let offer = try await place.site.ask(place.path("/api/scanner"))
            #expect(offer.status == 200 && offer.text.contains("\"adf-duplex\"") && offer.text.contains("\"A4\""), "\(offer.text)")
            let state = try await place.site.ask(place.path("/api/scanner/state"))
            #expect(state.text.contains("\"idle\"") && state.text.contains("\"loaded\""), "\(state.text)")
            #expect(try await place.begin("source=adf&resolution=75&mode=color&size=A4&format=jpeg").status == 202)
            let desk = try await place.follow { $0.end != nil }
            #expect(desk.end?.reason == "done" && desk.end?.pages == 2 && desk.end?.damaged == [] && desk.end?.lost == nil)
            #expect(desk.pages.map(\.sheet) == [1, 2] && desk.pages.map(\.name) == ["scan-1.jpg", "scan-2.jpg"])
            // Every byte is the object's, whose digest the client has checked.
            let objects = try await place.bench.client.objects()
            #expect(objects.map(\.sha256) == desk.pages.map(\.sha256))
            var pictures: [Data] = []
            for page in desk.pages {
                let shown = try await place.site.ask(place.path("/scan/page", "page=\(page.id)"))
                #expect(shown.head.contains("Content-Type: image/jpeg") && shown.head.contains("inline; filename=\"\(page.name)\""))
                #expect(shown.head.contains("nosniff") && shown.body.count == page.bytes)
                let object = try #require(objects.first { "\($0.id)" == page.id })
                #expect(Array(shown.body) == (try await place.bench.client.object(object.id).bytes()))
                pictures.append(shown.body)
            }
            // Looking at pages keeps them; so does loading the page again.
            #expect(try await place.desk().pages.allSatisfy { !$0.saved })
            let saved = try await place.site.ask(place.path("/scan/page", "page=\(desk.pages[0].id)&save=1"))
            #expect(saved.head.contains("attachment") && saved.body == pictures[0])
            #expect(try await place.follow { $0.pages[0].saved }.pages.map(\.saved) == [true, false])
            let book = try await place.site.ask(place.path("/scan/book.pdf"))
            #expect(book.head.contains("filename=\"scan.pdf\"") && book.body.starts(with: Data("%PDF-1.4".utf8)))
            #expect(book.body.suffix(6) == Data("%%EOF\n".utf8) && pictures.allSatisfy { book.body.range(of: $0) != nil })
            _ = try await place.follow { $0.pages.allSatisfy(\.saved) }
            #expect(try await place.bench.client.objects().count == 2, "what a browser has got need not be on a disk")
            // What was saved goes when the next scan begins.
            #expect(try await place.begin("source=flatbed&resolution=75&format=png").status == 202)
            let flat = try await place.follow { $0.end != nil && $0.version > desk.version }
            #expect(flat.pages.map(\.name) == ["scan-1.png"] && flat.pages[0].type == "image/png")
            #expect(try await place.site.ask(place.path("/scan/book.pdf")).status == 409, "a PNG is put into no PDF")
            #expect(try await place.bench.client.objects().map { "\($0.id)" } == [flat.pages[0].id])
            #expect(try await place.site.ask(place.path("/api/scan/remove", "page=\(flat.pages[0].id)"), method: "POST").status == 200)
            #expect(try await place.desk().pages.isEmpty)
            #expect(try await place.bench.client.objects().isEmpty)
            try await place.stop()
        }

        @Test func `an empty feeder and a jam are told in words, with the pages that are whole`() async throws {
            let place = try await Place("--sheets", "2", "--fault", "jam@2")
            #expect(try await place.begin("source=adf&resolution=75").status == 202)
            let jam = try await place.follow { $0.end != nil }
            #expect(jam.end?.reason == "jam" && jam.end?.message.contains("jammed") == true && jam.pages.count == 1, "\(jam)")
            #expect(try await place.site.ask(place.path("/api/scan/remove"), method: "POST").status == 200, "all of them")
            #expect(try await place.bench.client.objects().isEmpty)
            try await place.stop()
            let other = try await Place("--sheets", "0")
            #expect(try await other.begin("source=adf&resolution=75").status == 202)
            let empty = try await other.follow { $0.end != nil }
            #expect(empty.end?.reason == "empty" && empty.pages.isEmpty, "\(empty)")
            try await other.stop()
        }

        @Test func `a scan is cancelled, and a second one waits for its end`() async throws {
            let place = try await Place("--sheets", "5", "--bytes-per-second", "50000")
            #expect(try await place.begin("source=adf&resolution=150").status == 202)
            _ = try await place.follow { $0.coming.map { $0.bytes > 0 } ?? false }
            let second = try await place.begin("source=flatbed")
            #expect(second.status == 409 && second.text.contains("already"), "\(second.text)")
            #expect(try await place.site.ask(place.path("/api/scan/cancel"), method: "POST").status == 202)
            let desk = try await place.follow { $0.end != nil }
            #expect(desk.end?.reason == "cancelled" && desk.pages.count < 5, "\(desk)")
            try await place.stop()
        }

        @Test func `as many pages are scanned as are asked for`() async throws {
            let place = try await Place("--sheets", "3")
            #expect(try await place.begin("source=adf&resolution=75&pages=1").status == 202)
            let desk = try await place.follow(until: { $0.end != nil })
            #expect(desk.end?.reason == "done" && desk.pages.count == 1, "\(desk)")
            try await place.stop()
        }

        @Test func `nobody else scans, and what nobody meant does nothing`() async throws {
            let place = try await Place("--sheets", "1")
            let acting = [place.path("/api/scan", "source=adf"), place.path("/api/scan/cancel"), place.path("/api/scan/remove")]
            for path in acting {
                #expect(try await place.site.ask(path, method: "POST", withToken: false).status == 401, "\(path)")
                let wrong = ["Authorization: Bearer \(String(repeating: "0", count: 32))"]
                #expect(try await place.site.ask(path, method: "POST", headers: wrong, withToken: false).status == 401, "\(path)")
                #expect(try await place.site.ask(path, method: "POST", headers: ["Origin: http://attacker.example"]).status == 403)
                #expect(try await place.site.ask(path, method: "POST", headers: ["Sec-Fetch-Site: cross-site"]).status == 403)
                #expect(try await place.site.ask(path, method: "PUT").status == 405)
            }
            for path in ["/api/scan/cancel", "/api/scan/remove"] {
                let answer = try await place.site.ask(place.path(path))
                #expect(answer.status == 405 && answer.head.contains("Allow: POST"), "\(answer.head)")
            }
            for path in ["/api/scanner", "/scan/page", "/scan/book.pdf"] {
                #expect(try await place.site.ask(place.path(path), method: "POST").status == 405, "\(path)")
            }
            for words in [
                "source=moon", "resolution=0", "resolution=1e9", "mode=", "format=exe", "size=9e9x1", "size=A9", "source=%00", "pages=0",
                "pages=x",
            ] {
                #expect(try await place.begin(words).status == 400, "\(words)")
            }
            for page in ["page=abc", "page=-1", "page=", "x=1"] {
                #expect(try await place.site.ask(place.path("/scan/page", page)).status == 400, "\(page)")
            }
            #expect(try await place.site.ask(place.path("/scan/page", "page=4711")).status == 404)
            #expect(try await place.site.ask(place.path("/api/scan/remove", "page=4711"), method: "POST").status == 404)
            #expect(try await place.site.ask(place.path("/scan/book.pdf")).status == 404)
            #expect(try await place.site.ask("/api/scan", method: "POST").status == 400, "which scanner?")
            for path in ["/api/scan", "/api/scanner", "/api/scanner/state"] {
                #expect(try await place.site.ask(path + "?device=dead:beef").status == 404, "\(path)")
            }
            // A body is nothing that is looked at.
            let garbage = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0 * 7) })
            #expect(try await place.site.ask(place.path("/api/scan/cancel"), method: "POST", body: garbage).status == 202)
            let desk = try await place.desk()
            #expect(!desk.scanning && desk.end == nil && desk.pages.isEmpty)
            #expect(try await place.bench.client.objects().isEmpty)
            #expect(try await place.begin("source=adf&resolution=75").status == 202, "the sheet is still there")
            #expect(try await place.follow { $0.end != nil }.end?.reason == "done")
            try await place.stop()
        }

        @Test func `a scanner that is unplugged leaves what is whole, and the sheet is named`() async throws {
            let place = try await Place("--sheets", "3", "--bytes-per-second", "100000")
            #expect(try await place.begin("source=adf&resolution=75").status == 202)
            _ = try await place.follow { $0.pages.count == 1 && $0.coming.map { $0.bytes > 0 } ?? false }
            _ = try await place.bench.emulator?.stop(SIGKILL)
            let desk = try await place.follow { $0.end != nil }
            #expect(desk.end?.reason == "interrupted" && (desk.end?.damaged == [2] || desk.end?.lost == 2), "\(desk)")
            let page = try #require(desk.pages.first)
            let shown = try await place.site.ask(place.path("/scan/page", "page=\(page.id)"))
            #expect(shown.status == 200 && shown.body.count == page.bytes)
            #expect(try await place.begin("source=adf").status == 202, "it is tried")
            let other = try await place.follow { !$0.scanning && $0.version > desk.version }
            #expect(other.end?.reason == "failed" && other.end?.message.isEmpty == false, "\(other)")
            #expect(other.pages.map(\.id) == [page.id], "what was not saved stays")
            _ = try await place.site.server.stop()
            try await place.bench.stopDaemon()
        }

        @Test func `the driver is killed while a page comes, and the page does not notice`() async throws {
            let place = try await Place("--sheets", "2", "--bytes-per-second", "100000")
            #expect(try await place.begin("source=adf&resolution=75").status == 202)
            _ = try await place.follow { $0.coming.map { $0.bytes > 0 } ?? false }
            kill(try await place.bench.client.device().pid, SIGKILL)
            let desk = try await place.follow { $0.end != nil }
            #expect(
                desk.end?.reason == "done" && desk.pages.map(\.sheet) == [1, 2] && desk.pages.allSatisfy { $0.problem == nil }, "\(desk)")
            try await place.stop()
        }

        @Test func `a daemon that was started anew has no pages, and the page says so`() async throws {
            let place = try await Place("--sheets", "1")
            #expect(try await place.begin("source=adf&resolution=75").status == 202)
            let desk = try await place.follow { $0.end != nil }
            let page = try #require(desk.pages.first)
            try await place.bench.stopDaemon()
            #expect(try await place.site.ask(place.path("/scan/page", "page=\(page.id)")).status == 502, "it is not there")
            try await place.bench.restartDaemon()
            try await place.bench.waitForDevice { $0.state == .running }
            #expect(try await place.site.ask(place.path("/scan/page", "page=\(page.id)")).status == 410)
            #expect(try await place.desk().pages.first?.problem?.contains("daemon") == true)
            try await place.stop()
        }
    }
}
