// The kinds of file that a page can be, by their names.

/// The form of a page's file.
public enum PageFileFormat: String, CaseIterable, Sendable {
    case jpeg, png, pdf

    /// By a word that a person types, or the end of a file's name: `jpg`, `JPEG`.
    public init?(word: String) {
        switch word.lowercased() {
        case "jpg", "jpeg": self = .jpeg
        case "png": self = .png
        case "pdf": self = .pdf
        default: return nil
        }
    }

    public init?(mediaType: String) {
        guard let format = Self.allCases.first(where: { $0.mediaType == mediaType }) else { return nil }
        self = format
    }

    public var mediaType: String {
        switch self {
        case .jpeg: "image/jpeg"
        case .png: "image/png"
        case .pdf: "application/pdf"
        }
    }

    /// The end of a file's name, without the dot.
    public var suffix: String { self == .jpeg ? "jpg" : rawValue }
}
