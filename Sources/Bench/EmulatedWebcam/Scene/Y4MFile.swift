// YUV4MPEG2 films: a header line, then FRAME lines each followed by planes.

import Pictures

/// A Y4M file whose frames have been found.
struct Y4MFile: Sendable {
    enum Chroma: Sendable {
        case half, wide, full, none
        /// Shifts of the chroma planes' columns and rows.
        var shifts: (x: Int, y: Int) {
            switch self {
            case .half: (1, 1)
            case .wide: (1, 0)
            case .full, .none: (0, 0)
            }
        }
    }

    let width: Int
    let height: Int
    let framesPerSecond: Double
    let chroma: Chroma
    let isFullRange: Bool
    let bytes: [UInt8]
    /// Where each frame's planes begin.
    let frames: [Int]

    /// Throws for a malformed header, 16-bit samples, sizes out of bounds and a file without a whole frame.
    init(_ bytes: [UInt8], name: String) throws(PictureError) {
        var position = 0
        guard let header = Self.line(bytes, &position) else { throw PictureError.file("\(name) has no Y4M header.") }
        var (width, height) = (0, 0)
        var rate = 25.0
        var chroma = Chroma.half
        var isFullRange = false
        for word in header.split(separator: " ").dropFirst() {
            let value = word.dropFirst()
            switch word.first {
            case "W": width = Int(value) ?? 0
            case "H": height = Int(value) ?? 0
            case "F":
                let parts = value.split(separator: ":").compactMap { Int($0) }
                if parts.count == 2, parts[0] > 0, parts[1] > 0 { rate = min(max(Double(parts[0]) / Double(parts[1]), 0.1), 1000) }
            case "C":
                switch value {
                case "420", "420jpeg", "420mpeg2", "420paldv": chroma = .half
                case "422": chroma = .wide
                case "444": chroma = .full
                case "mono": chroma = .none
                default:
                    throw PictureError.file("\(name) is a Y4M file of the kind C\(value), which is not supported (420, 422, 444, mono).")
                }
            case "X": if value == "COLORRANGE=FULL" { isFullRange = true }
            default: break
            }
        }
        guard width > 0, height > 0, width <= Picture.maximumSide, height <= Picture.maximumSide else {
            throw PictureError.file("\(name) has frames of \(width)x\(height); 1 to \(Picture.maximumSide) pixels a side are supported.")
        }
        self.width = width
        self.height = height
        self.chroma = chroma
        self.isFullRange = isFullRange
        framesPerSecond = rate
        let (chromaWidth, chromaHeight) = Self.chromaSize(width, height, chroma)
        let frameSize = width * height + 2 * chromaWidth * chromaHeight
        var frames: [Int] = []
        while position < bytes.count {
            guard let line = Self.line(bytes, &position), line.hasPrefix("FRAME") else {
                throw PictureError.file("\(name) has something else than a frame at byte \(position).")
            }
            guard bytes.count - position >= frameSize else { break }
            frames.append(position)
            position += frameSize
        }
        guard !frames.isEmpty else { throw PictureError.file("\(name) has no whole frame of \(frameSize) bytes.") }
        self.frames = frames
        self.bytes = bytes
    }

    static func chromaSize(_ width: Int, _ height: Int, _ chroma: Chroma) -> (width: Int, height: Int) {
        if case .none = chroma { return (0, 0) }
        let shifts = chroma.shifts
        return ((width + shifts.x) >> shifts.x, (height + shifts.y) >> shifts.y)
    }

    /// A line of at most 1000 characters.
    private static func line(_ bytes: [UInt8], _ position: inout Int) -> String? {
        let start = position
        let limit = min(bytes.count, start + 1000)
        while position < limit {
            if bytes[position] == 0x0a {
                position += 1
                return String(decoding: bytes[start..<position - 1], as: UTF8.self)
            }
            position += 1
        }
        return nil
    }
}

/// Frames of a film at its own rate, looped, the nearest pixel for each of ours.
struct Y4MSource: PictureSource {
    let file: Y4MFile

    func draw(number: UInt64, seconds: Double, on planes: borrowing YUV422Planes) {
        let index = Int((seconds * file.framesPerSecond).rounded(.down).truncatingRemainder(dividingBy: Double(file.frames.count)))
        let start = file.frames[min(max(index, 0), file.frames.count - 1)]
        let (chromaWidth, chromaHeight) = Y4MFile.chromaSize(file.width, file.height, file.chroma)
        let shifts = file.chroma.shifts
        let isFullRange = file.isFullRange
        let (planeY, planeU, planeV) = (planes.y, planes.u, planes.v)
        file.bytes.withUnsafeBufferPointer { bytes in
            let blue = start + file.width * file.height
            let red = blue + chromaWidth * chromaHeight
            for y in 0..<planes.height {
                let row = y * file.height / planes.height
                for x in 0..<planes.width {
                    let column = x * file.width / planes.width
                    let luma = Int(bytes[start + row * file.width + column])
                    planeY[y * planes.width + x] = isFullRange ? UInt8(luma) : UInt8(min(max((luma - 16) * 255 / 219, 0), 255))
                    guard x & 1 == 0 else { continue }
                    let target = y * planes.chromaWidth + x / 2
                    guard chromaWidth > 0 else {
                        (planeU[target], planeV[target]) = (128, 128)
                        continue
                    }
                    let place = (row >> shifts.y) * chromaWidth + (column >> shifts.x)
                    let (u, v) = (Int(bytes[blue + place]), Int(bytes[red + place]))
                    planeU[target] = isFullRange ? UInt8(u) : UInt8(min(max((u - 128) * 255 / 224 + 128, 0), 255))
                    planeV[target] = isFullRange ? UInt8(v) : UInt8(min(max((v - 128) * 255 / 224 + 128, 0), 255))
                }
            }
        }
    }
}
