// A driver's activities as they lie in the pages that the supervisor reads.

import CLinux
import Testing
import Wire

@testable import UserDriver

@Suite struct ProgressTests {
    private func word(_ progress: Progress, _ slot: Int, _ offset: Int) -> UInt64 {
        clinux_load_u64(progress.page + ProgressPage.slot(slot) + offset)
    }

    private func text(_ progress: Progress, _ slot: Int, _ place: ProgressPage.Text) -> String {
        let bytes = UnsafeRawBufferPointer(start: progress.page + ProgressPage.slot(slot) + place.offset, count: place.byteCount)
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    @Test func theLayoutHasNoOverlaps() {
        let counters = [
            ProgressPage.turns, ProgressPage.transfers, ProgressPage.units, ProgressPage.watch, ProgressPage.deliveries,
            ProgressPage.unitTime, ProgressPage.number, ProgressPage.unitsBefore, ProgressPage.waitLimit, ProgressPage.waitNumber,
        ]
        #expect(Set(counters).count == counters.count && counters.allSatisfy { $0 % 8 == 0 })
        let texts = [ProgressPage.name, ProgressPage.unit, ProgressPage.reason]
        var end = (counters.max() ?? 0) + 8
        for text in texts {
            #expect(text.offset == end && text.byteCount % 8 == 0)
            end += text.byteCount
        }
        #expect(end == ProgressPage.slotSize && ProgressPage.slotSize * ProgressPage.slotCount == ProgressPage.crashPageOffset)
    }

    @Test func anActivityIsShownFromItsFirstSignOfLifeToItsEnd() {
        let progress = Progress()
        let page = progress.activity("page 1", unit: "lines")
        #expect(word(progress, 0, ProgressPage.number) == 0)
        page.advance(by: 7)
        #expect(word(progress, 0, ProgressPage.number) == 1 && word(progress, 0, ProgressPage.units) == 7)
        #expect(text(progress, 0, ProgressPage.name) == "page 1" && text(progress, 0, ProgressPage.unit) == "lines")
        page.expect(every: .seconds(2))
        #expect(word(progress, 0, ProgressPage.watch) == ProgressPage.Watch.units.rawValue)
        #expect(word(progress, 0, ProgressPage.unitTime) == 2_000_000_000)
        page.end()
        #expect(word(progress, 0, ProgressPage.number) == 0 && word(progress, 0, ProgressPage.watch) == 0)
        // Begun anew it counts from there on, as somebody else.
        page.advance()
        #expect(word(progress, 0, ProgressPage.number) == 2)
        #expect(word(progress, 0, ProgressPage.units) == 8 && word(progress, 0, ProgressPage.unitsBefore) == 7)
    }

    @Test func aWaitHasItsReasonAndEndsWithItsWork() async throws {
        let progress = Progress()
        let page = progress.activity("page 1")
        let long = String(repeating: "ä", count: 200)
        await page.waiting(long, atMost: .seconds(60)) {
            #expect(word(progress, 0, ProgressPage.waitLimit) == 60_000_000_000 && word(progress, 0, ProgressPage.waitNumber) == 1)
            #expect(text(progress, 0, ProgressPage.reason) == String(repeating: "ä", count: 60))
        }
        #expect(word(progress, 0, ProgressPage.waitLimit) == 0)
        struct Failure: Error {}
        await #expect(throws: Failure.self) { try await page.waiting("", atMost: .zero) { throw Failure() } }
        #expect(word(progress, 0, ProgressPage.waitLimit) == 0 && word(progress, 0, ProgressPage.waitNumber) == 2)
    }

    @Test func slotsAreGivenAgainAndWhatWasDoneStaysDone() {
        let progress = Progress()
        var pages = (0..<ProgressPage.slotCount).map { progress.activity("page \($0)") }
        for page in pages { page.advance() }
        // One too many counts for nobody, and does no harm.
        let surplus = progress.activity("surplus")
        surplus.advance(by: 1000)
        surplus.expect(every: .seconds(1))
        #expect((0..<ProgressPage.slotCount).allSatisfy { word(progress, $0, ProgressPage.units) == 1 })
        pages.remove(at: 5)
        #expect(word(progress, 5, ProgressPage.number) == 0)
        let next = progress.activity("another")
        next.advance()
        #expect(text(progress, 5, ProgressPage.name) == "another")
        #expect(word(progress, 5, ProgressPage.units) == 2 && word(progress, 5, ProgressPage.unitsBefore) == 1)
        withExtendedLifetime((pages, surplus, next)) {}
    }
}
