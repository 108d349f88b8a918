// Why a picture could not be read or written.

/// A full sentence about a picture that could not be made.
public struct PictureError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of fault it is.
    public enum Code: Hashable, Sendable {
        /// The bytes are not what they claim to be, or end too early.
        case malformed
        /// Wider or higher than ``Picture/maximumSide``, or larger than ``Picture/maximumByteCount``.
        case tooLarge
        /// A valid picture of a kind that is not supported here.
        case unsupported
        /// The file could not be opened, read or written.
        case file
        /// A C library failed for reasons of its own (memory).
        case library
    }

    public let code: Code
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}

extension PictureError {
    /// A file that does not hold what it should; `description` names it.
    public static func file(_ description: String) -> PictureError { PictureError(.malformed, description) }
}
