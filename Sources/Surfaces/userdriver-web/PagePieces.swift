// The bytes of scanned pages on their way to a browser.

import Pictures
import ScannerClient
import UserDriverClient
import Wire

/// One object. Its last piece comes only when all together are what the driver committed.
actor ObjectPieces: Pieces {
    private static let size = 64 << 10
    private var cursor: ObjectCursor

    init(_ object: DeviceObject) { cursor = ObjectCursor(object) }

    func next() throws -> [UInt8]? {
        let piece = try [UInt8](unsafeUninitializedCapacity: Self.size) { buffer, count in
            count = try cursor.read(into: UnsafeMutableRawBufferPointer(buffer))
        }
        return piece.isEmpty ? nil : piece
    }
}

/// One PDF of pages that are JPEGs: the pictures as the scanner made them, one after the other.
actor BookPieces: Pieces {
    private let desk: ScanDesk
    private var left: ArraySlice<ScanDesk.Page>
    private var book = PDFBook()
    private var picture: ObjectPieces?
    /// What follows the picture.
    private var behind: [UInt8] = []
    private var isOver = false
    /// A picture that does not say its size within that many bytes is none.
    private static let longestHead = 1 << 20

    init(_ pages: [ScanDesk.Page], of desk: ScanDesk) {
        left = pages[...]
        self.desk = desk
    }

    func next() async throws -> [UInt8]? {
        if let picture, let piece = try await picture.next() { return piece }
        picture = nil
        if !behind.isEmpty {
            defer { behind = [] }
            return behind
        }
        if let page = left.popFirst() { return try await begin(page) }
        guard !isOver else { return nil }
        isOver = true
        return book.end()
    }

    private func begin(_ page: ScanDesk.Page) async throws -> [UInt8] {
        let (_, object) = try await desk.open(page.id)
        let pieces = ObjectPieces(object)
        var head: [UInt8] = []
        while JPEGFrame(head) == nil, head.count < Self.longestHead, let piece = try await pieces.next() { head += piece }
        guard let frame = JPEGFrame(head) else { throw WebError("\(page.name) is not a JPEG that can be put into a PDF.") }
        let text = book.page(frame, length: object.status.length, resolution: page.scanned.resolution ?? 300)
        (picture, behind) = (pieces, text.behind)
        return text.before + head
    }
}
