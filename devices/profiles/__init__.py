"""Device profiles: facts about boards, phones and CPUs with their sources (profiles.json), and profile matching."""
