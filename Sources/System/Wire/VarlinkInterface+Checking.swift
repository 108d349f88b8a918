// Whether values are what an interface's definition says.

extension VarlinkInterface {
    /// Where a value is not what the definition says, and why; `nil` if it is. Members that the
    /// definition does not know are left alone.
    public func mismatch(of value: JSONValue, with fields: [Field], at place: String = "") -> String? {
        guard case .object(let members) = value else { return "\(place.isEmpty ? "the parameters" : place): an object is needed" }
        for field in fields {
            let place = place.isEmpty ? field.name : "\(place).\(field.name)"
            if let mismatch = mismatch(of: members[field.name], with: field.type, at: place) { return mismatch }
        }
        return nil
    }

    private func mismatch(of value: JSONValue?, with type: VarlinkType, at place: String) -> String? {
        switch (type, value) {
        case (.optional, nil), (.optional, .null): return nil
        case (.optional(let type), let value?): return mismatch(of: value, with: type, at: place)
        case (_, nil): return "\(place) is missing"
        case (.bool, .bool), (.string, .string), (.object, .object): return nil
        case (.int, let value?) where value.intValue != nil: return nil
        case (.float, let value?) where value.doubleValue != nil: return nil
        case (.enumeration(let cases), .string(let text)):
            return cases.contains(text) ? nil : "\(place) must be one of \(cases.joined(separator: ", "))"
        case (.structure(let fields), let value?): return mismatch(of: value, with: fields, at: place)
        case (.named(let name), let value?):
            // Recursive types end with the value.
            return self.type(name).flatMap { mismatch(of: value, with: $0, at: place) }
        case (.array(let type), .array(let values)):
            for (index, value) in values.enumerated() {
                if let mismatch = mismatch(of: value, with: type, at: "\(place)[\(index)]") { return mismatch }
            }
            return nil
        case (.map(let type), .object(let members)):
            for (key, value) in members.sorted(by: { $0.key < $1.key }) {
                if let mismatch = mismatch(of: value, with: type, at: "\(place).\(key)") { return mismatch }
            }
            return nil
        default: return "\(place) must be of the type \(type)"
        }
    }
}
