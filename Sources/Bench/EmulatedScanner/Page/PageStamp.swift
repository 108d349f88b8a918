// The stamp on each page, which a program reads back from the pixels: which sheet it is, and that the
// picture shows it.

public import Pictures

/// What a page says of itself. A block of black and white cells, large enough to survive JPEG and 75
/// dots an inch: a black frame, inside it 5 rows of 32 bits.
///
/// The bits, most significant first: `0` magic "US" · `2` version 1 · `3` side · `4` sheet, u32 · `8`
/// job, u32 · `12` resolution, u16 · `14` colour mode · `15` zero · `16` CRC-32 of all before, u32.
public struct PageStamp: Hashable, Sendable {
    public var sheet: Int
    public var side: PageSide
    public var job: Int
    public var resolution: Int

    private var colourMode: UInt8

    init(_ order: PageOrder) {
        sheet = order.sheet
        side = order.side
        job = order.job
        resolution = order.settings.resolution
        colourMode = UInt8(ScanSettings.ColourMode.allCases.firstIndex(of: order.settings.colourMode) ?? 0)
    }

    /// Where it is on the sheet and how large a cell is, in 1/300 inch.
    private static let place = (x: 1420.0, y: 160.0, cell: 24.0)
    private static let columns = 32
    private static let rows = 5

    private var bytes: [UInt8] {
        let head: [UInt8] =
            [0x55, 0x53, 1, side.rawValue] + Self.word(sheet) + Self.word(job)
            + [UInt8(truncatingIfNeeded: resolution >> 8), UInt8(truncatingIfNeeded: resolution), colourMode, 0]
        return head + Self.word(Int(Self.checksum(head)))
    }

    private static func word(_ value: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }

    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var checksum = CRC32()
        bytes.withUnsafeBytes { checksum.update($0) }
        return checksum.value
    }

    func draw(_ canvas: inout PageCanvas) {
        let (x, y, cell) = Self.place
        func fill(_ column: Int, _ row: Int, _ width: Int, _ height: Int, _ colour: PageColour) {
            canvas.fill(x + Double(column) * cell, y + Double(row) * cell, Double(width) * cell, Double(height) * cell, colour)
        }
        fill(-3, -3, Self.columns + 6, Self.rows + 6, .white)
        fill(-2, -2, Self.columns + 4, Self.rows + 4, PageColour(0, 0, 0))
        fill(-1, -1, Self.columns + 2, Self.rows + 2, .white)
        for (index, byte) in bytes.enumerated() {
            for bit in 0..<8 where byte & 0x80 >> UInt8(bit) != 0 {
                let place = index * 8 + bit
                fill(place % Self.columns, place / Self.columns, 1, 1, PageColour(0, 0, 0))
            }
        }
    }

    /// Reads the stamp of a decoded page; `nil` if there is none that is whole. `x` and `y` are where
    /// the scan began on the sheet, in 1/300 inch.
    public static func read(_ picture: Picture, x: Int = 0, y: Int = 0) -> PageStamp? {
        for resolution in ScanSettings.resolutions {
            if let stamp = read(picture, resolution, Double(x), Double(y)), stamp.resolution == resolution { return stamp }
        }
        return nil
    }

    private static func read(_ picture: Picture, _ resolution: Int, _ x: Double, _ y: Double) -> PageStamp? {
        let scale = Double(resolution) / 300
        var bytes = [UInt8](repeating: 0, count: columns * rows / 8)
        for place in 0..<columns * rows {
            let column = Int((Self.place.x - x + (Double(place % columns) + 0.5) * Self.place.cell) * scale)
            let row = Int((Self.place.y - y + (Double(place / columns) + 0.5) * Self.place.cell) * scale)
            guard column >= 0, row >= 0, column < picture.width, row < picture.height else { return nil }
            if picture[column, row].green < 128 { bytes[place / 8] |= 0x80 >> UInt8(place % 8) }
        }
        return PageStamp(bytes)
    }

    private init?(_ bytes: [UInt8]) {
        func word(_ offset: Int) -> Int { bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) } }
        guard bytes.starts(with: [0x55, 0x53, 1]), let side = PageSide(rawValue: bytes[3]),
            word(16) == Int(Self.checksum(Array(bytes[..<16])))
        else { return nil }
        self.side = side
        sheet = word(4)
        job = word(8)
        resolution = Int(bytes[12]) << 8 | Int(bytes[13])
        colourMode = bytes[14]
    }
}
