// A page as the file that is sent: JPEG, PNG, or PDF with one picture.

import Pictures

enum PageFile {
    /// The same bytes for the same order, always.
    static func encoded(_ order: PageOrder) throws(PictureError) -> [UInt8] {
        let canvas = PageDrawing.draw(order)
        let settings = order.settings
        switch settings.format {
        case .png: return try png(canvas, settings)
        case .jpeg: return try jpeg(canvas, settings)
        case .pdf:
            return PDFFile.onePage(
                jpeg: try jpeg(canvas, settings), width: canvas.width, height: canvas.height, resolution: settings.resolution,
                isGrey: canvas.channels == 1)
        }
    }

    private static let quality = 75

    private static func jpeg(_ canvas: PageCanvas, _ settings: ScanSettings) throws(PictureError) -> [UInt8] {
        var bytes: [UInt8]
        if canvas.channels == 3 {
            bytes = try Picture(width: canvas.width, height: canvas.height, pixels: canvas.pixels).encoded(as: .jpeg(quality: quality))
        } else {
            bytes = try grey(canvas, settings).encodedJPEG(quality: quality)
        }
        // JFIF's density: dots an inch.
        if bytes.count > 18, bytes[6..<11].elementsEqual("JFIF\0".utf8) {
            let density = [UInt8(settings.resolution >> 8), UInt8(settings.resolution & 0xff)]
            bytes.replaceSubrange(13..<18, with: [1] + density + density)
        }
        return bytes
    }

    private static func png(_ canvas: PageCanvas, _ settings: ScanSettings) throws(PictureError) -> [UInt8] {
        var bytes =
            switch settings.colourMode {
            case .colour: try PNGFile.encoded(width: canvas.width, height: canvas.height, channels: 3, rows: canvas.pixels)
            case .grey: try grey(canvas, settings).encodedPNG()
            case .blackAndWhite: try grey(canvas, settings).encodedBilevelPNG()
            }
        // pHYs, behind IHDR: dots a metre.
        let density = Int((Double(settings.resolution) / 0.0254).rounded())
        let word = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: density >> $0) }
        bytes.insert(contentsOf: PNGChunk.bytes("pHYs", word + word + [1]), at: 33)
        return bytes
    }

    private static func grey(_ canvas: PageCanvas, _ settings: ScanSettings) throws(PictureError) -> GreyPicture {
        var picture = try GreyPicture(width: canvas.width, height: canvas.height, pixels: canvas.pixels)
        if settings.colourMode == .blackAndWhite {
            picture.pixels.withUnsafeMutableBufferPointer { pixels in
                for index in pixels.indices { pixels[index] = pixels[index] >= 128 ? 255 : 0 }
            }
        }
        return picture
    }
}
