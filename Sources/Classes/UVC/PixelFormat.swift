// The table of format GUIDs with the names that people use for them.

public import USB

/// A picture format that we know by name.
public struct PixelFormat: Hashable, Sendable {
    /// What people type and JSON says, lower case: `"yuy2"`.
    public let name: String
    /// The four characters, as the field writes them: `"YUY2"`, `"Y16 "`.
    public let fourCC: String
    /// Bits of a pixel, on average, in memory; 0 for compressed formats.
    public let bitsPerPixel: Int
    public var isCompressed: Bool { bitsPerPixel == 0 }
    /// The GUID on the wire.
    public let guid: GUID

    /// `nil` for a GUID that is not in the table.
    /// - Parameter bits: what the device says of a pixel (`bBitsPerPixel`), which counts only where a GUID stands for several formats.
    public init?(guid: GUID, bits: Int? = nil) {
        guard let formats = Self.byGUID[guid], let format = formats.first(where: { $0.bitsPerPixel == bits }) ?? formats.first else {
            return nil
        }
        self = format
    }

    /// The four characters that a GUID begins with (the unused ones are spaces at the end); `nil` if they are not characters.
    public static func letters(of guid: GUID) -> String? {
        let characters = guid.bytes.prefix(4).reversed().drop { $0 == 0x20 }.reversed()
        let allowed = characters.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) }
        return characters.count >= 2 && allowed ? String(decoding: characters, as: UTF8.self) : nil
    }

    /// The characters of a GUID that is nothing but those and what follows them in nearly every format: they are its name.
    static func name(of guid: GUID) -> String? {
        guid.bytes.dropFirst(4).elementsEqual(base) ? letters(of: guid)?.lowercased() : nil
    }

    /// By the name that people type; letters of either case, and the four characters will do as well.
    public init?(name: String) {
        let name = String(name.lowercased().reversed().drop { $0 == " " }.reversed())
        guard let format = Self.byName[name] else { return nil }
        self = format
    }

    private init(_ name: String, _ fourCC: String, _ bitsPerPixel: Int, guid: [UInt8]? = nil) {
        self.name = name
        self.fourCC = fourCC
        self.bitsPerPixel = bitsPerPixel
        guard let value = GUID(bytes: guid ?? Array(fourCC.utf8) + Self.base) else {
            preconditionFailure("the table's GUIDs have sixteen bytes")
        }
        self.guid = value
    }

    /// What follows the four characters in nearly every format's GUID (the DirectShow media subtypes).
    private static let base: [UInt8] = [0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71]

    /// Every format that has a name. Names may stand twice, with different GUIDs: the first is the usual one. A GUID may stand twice, with different
    /// bits of a pixel. Other GUIDs of four characters and the base are called by those.
    public static let all: [PixelFormat] = [
        // Compressed.
        PixelFormat("mjpeg", "MJPG", 0), PixelFormat("h264", "H264", 0), PixelFormat("h265", "H265", 0), PixelFormat("h265", "HEVC", 0),
        PixelFormat("vp8", "VP80", 0),
        // Luma and chroma.
        PixelFormat("yuy2", "YUY2", 16), PixelFormat("uyvy", "UYVY", 16), PixelFormat("nv12", "NV12", 12),
        PixelFormat("nv21", "NV21", 12), PixelFormat("i420", "I420", 12), PixelFormat("yv12", "YV12", 12),
        PixelFormat("m420", "M420", 12), PixelFormat("p010", "P010", 24),
        // Grey, infrared, depth.
        PixelFormat("grey", "Y800", 8), PixelFormat("grey", "Y8  ", 8), PixelFormat("y10", "Y10 ", 16), PixelFormat("y12", "Y12 ", 16),
        PixelFormat("y16", "Y16 ", 16), PixelFormat("y8i", "Y8I ", 16), PixelFormat("y12i", "Y12I", 24),
        PixelFormat("y16i", "Y16I", 32), PixelFormat("z16", "Z16 ", 16), PixelFormat("cnf4", "C   ", 4),
        // Bayer patterns.
        PixelFormat("bggr8", "BY8 ", 8), PixelFormat("bggr8", "BA81", 8), PixelFormat("gbrg8", "GBRG", 8),
        PixelFormat("grbg8", "GRBG", 8), PixelFormat("rggb8", "RGGB", 8), PixelFormat("bggr16", "BG16", 16),
        PixelFormat("gbrg16", "GB16", 16), PixelFormat("grbg16", "GR16", 16), PixelFormat("rggb16", "RG16", 16),
        PixelFormat("rggb10p", "RW10", 10),
        // Red, green and blue. Here BGR names the order in memory, and the GUIDs are DirectShow's RGB24, RGB32 and RGB565.
        PixelFormat("rgb565", "RGBP", 16), PixelFormat("rgb565", "RGB565", 16, guid: directShow(0x7b)),
        PixelFormat("bgr24", "BGR3", 24, guid: directShow(0x7d)), PixelFormat("bgr32", "BGR4", 32, guid: directShow(0x7e)),
        PixelFormat("rgb24", "RGB3", 24),
        // The odd ones: Apple's iSight lacks a byte of the base, Windows' infrared cameras have D3DFMT_L8 and KSMEDIA_L8_IR,
        // Intel's depth cameras their own.
        PixelFormat("yuy2", "YUY2", 16, guid: Array("YUY2".utf8) + [0, 0, 0x10, 0, 0x80, 0, 0, 0, 0, 0x38, 0x9b, 0x71]),
        PixelFormat("grey", "L8", 8, guid: [0x32, 0, 0, 0] + base),
        PixelFormat("grey", "L8IR", 8, guid: [0x32, 0, 0, 0, 0x02] + base.dropFirst()),
        PixelFormat(
            "z16", "INVZ", 16, guid: Array("INVZ".utf8) + [0x90, 0x2d, 0x58, 0x4a, 0x92, 0x0b, 0x77, 0x3f, 0x1f, 0x2c, 0x55, 0x6b]),
        // Infrared beside depth: two planes of 16 bits (SR300), or packed (F200).
        PixelFormat("inzi", "INZI", 32, guid: intelINZI), PixelFormat("inzi", "INZI", 24, guid: intelINZI),
        // Infrared of 10 bits in 16 (SR300), or of 8 (F200).
        PixelFormat("y10", "INVI", 16, guid: intelINVI), PixelFormat("grey", "INVI", 8, guid: intelINVI),
    ]

    private static let intelINZI = Array("INZI".utf8) + [0x66, 0x1a, 0x42, 0xa2, 0x90, 0x65, 0xd0, 0x18, 0x14, 0xa8, 0xef, 0x8a]
    private static let intelINVI = Array("INVI".utf8) + [0xdb, 0x57, 0x49, 0x5e, 0x8e, 0x3f, 0xf4, 0x79, 0x53, 0x2b, 0x94, 0x6f]

    /// {e436eb7x-524f-11ce-9f53-0020af0ba770}: DirectShow's RGB subtypes.
    private static func directShow(_ first: UInt8) -> [UInt8] {
        [first, 0xeb, 0x36, 0xe4, 0x4f, 0x52, 0xce, 0x11, 0x9f, 0x53, 0x00, 0x20, 0xaf, 0x0b, 0xa7, 0x70]
    }

    private static let byGUID = Dictionary(grouping: all, by: \.guid)
    private static let byName: [String: PixelFormat] = {
        let names = all.map { ($0.name, $0) }
        let fourCCs = all.map { (String($0.fourCC.lowercased().split(separator: " ").first ?? ""), $0) }
        return Dictionary(names + fourCCs, uniquingKeysWith: { first, _ in first })
    }()
}
